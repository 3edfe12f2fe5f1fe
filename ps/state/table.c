#include "ps/state/table.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/rcu.h"

/* A segment is a 16th of what was there when the table last doubled, so at most that share waits to be used. */
enum { SPLIT_BITS = 4, FIRST_BITS = 2, SPLIT = 1 << SPLIT_BITS, DOUBLINGS = 24, SEGMENTS = DOUBLINGS * SPLIT };

/* An index is filled to 7/10 at most and grows by an eighth, which is to 62 %. A document that is there then takes 2
 * slots on average, one that is not takes 5: seldom more than a cache line. */
enum { CAPACITY_MIN = 64, FILL_OF_10 = 7, GROWTH = 8 };

enum { CACHE_LINE = 64 };

struct block {
    uint64_t low;          /* of the document's hash; never changes once readers can see the block */
    _Atomic uint32_t lock; /* odd while the writer is at it */
    uint32_t high;         /* the rest of the identity, the writer's: the slot has it for readers */
    uint64_t content[];    /* loaded and stored as atomic words */
};

/* A document's first slot is at the share of the capacity that its hash is of 2^32: any capacity will do, and growing
 * goes through both indexes from front to back. */
struct slots {
    uint32_t capacity;
    _Atomic uint64_t slot[]; /* high 32 bits of the identity, then block number + 1 */
};

struct table {
    size_t words, stride;
    struct slots *_Atomic slots;
    _Atomic uint32_t count;
    uint8_t *_Atomic segment[SEGMENTS]; /* see place_of */
    uint64_t *dirty;                    /* the writer's: a bit for each block */
    size_t dirty_words;
};

static struct slots *slots_new(uint32_t capacity)
{
    struct slots *s = mem_new(1, sizeof *s + capacity * sizeof s->slot[0]);
    s->capacity = capacity;
    return s;
}

struct table *table_open(size_t block_size)
{
    struct table *t = mem_new(1, sizeof *t);
    CHECK(block_size > 0 && block_size % 8 == 0);
    t->words = block_size / 8;
    t->stride = sizeof(struct block) + block_size;
    atomic_store(&t->slots, slots_new(CAPACITY_MIN));
    return t;
}

void table_close(struct table *t)
{
    if (!t)
        return;
    for (int i = 0; i < SEGMENTS; i++)
        free(atomic_load(&t->segment[i]));
    free(atomic_load(&t->slots));
    free(t->dirty);
    free(t);
}

struct place {
    uint32_t segment, at, size; /* at: which of the `size` blocks of the segment */
};

/* The first SPLIT segments hold 1 << FIRST_BITS blocks each; every further SPLIT of them as many as all before, so the
 * leading bits of a number say which segment it is in. */
static struct place place_of(uint32_t number)
{
    uint32_t n = number + (1u << (SPLIT_BITS + FIRST_BITS));
    uint32_t bits = 31u - (uint32_t)__builtin_clz(n) - SPLIT_BITS, doubling = bits - FIRST_BITS; /* bits: of `at` */
    return (struct place){
        .segment = doubling * SPLIT + (n >> bits) - SPLIT, .at = n & ((1u << bits) - 1), .size = 1u << bits};
}

static struct block *block_at(const struct table *t, uint32_t number)
{
    struct place p = place_of(number);
    uint8_t *segment = atomic_load_explicit(&t->segment[p.segment], memory_order_acquire);
    return (struct block *)(void *)(segment + p.at * t->stride);
}

static struct block *block_new(struct table *t, uint32_t number)
{
    struct place p = place_of(number);
    CHECK(p.segment < SEGMENTS);
    if (p.at == 0)
        atomic_store_explicit(&t->segment[p.segment], mem_new(p.size, t->stride), memory_order_release);
    if (number / 64 == t->dirty_words) {
        size_t words = t->dirty_words ? 2 * t->dirty_words : 1;
        t->dirty = mem_grow(t->dirty, words, sizeof *t->dirty);
        memset(t->dirty + t->dirty_words, 0, (words - t->dirty_words) * sizeof *t->dirty);
        t->dirty_words = words;
    }
    return block_at(t, number);
}

static uint64_t slot_of(uint32_t high, uint32_t number) { return (uint64_t)high << 32 | (number + 1u); }

static uint32_t first_slot(const struct slots *s, uint32_t high)
{
    return (uint32_t)((uint64_t)high * s->capacity >> 32);
}
static uint32_t slot_after(const struct slots *s, uint32_t i) { return i + 1 < s->capacity ? i + 1 : 0; }

/* The next block that may be the document's, from slot *at on: its 32 bits are in the slot. TABLE_NONE: no more. */
static uint32_t next_candidate(const struct slots *s, uint32_t high, uint32_t *at)
{
    for (;;) {
        uint64_t slot = atomic_load_explicit(&s->slot[*at], memory_order_acquire);
        if (!slot)
            return TABLE_NONE;
        *at = slot_after(s, *at);
        if ((uint32_t)(slot >> 32) == high)
            return (uint32_t)slot - 1u;
    }
}

uint32_t table_find(const struct table *t, struct doc_id id)
{
    const struct slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);
    uint32_t at = first_slot(s, id.high), number;
    do
        number = next_candidate(s, id.high, &at);
    while (number != TABLE_NONE && block_at(t, number)->low != id.low);
    return number;
}

/* A walk over slots seldom ends more than half a line behind its first one. */
void table_prefetch(const struct table *t, struct doc_id id)
{
    const struct slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);
    const char *first = (const char *)&s->slot[first_slot(s, id.high)];
    __builtin_prefetch(first);
    __builtin_prefetch(first + CACHE_LINE / 2);
}

static void prefetch_block(const struct table *t, uint32_t number)
{
    const char *block = (const char *)block_at(t, number);
    for (size_t line = 0; line < t->stride; line += CACHE_LINE)
        __builtin_prefetch(block + line);
    __builtin_prefetch(block + t->stride - 1); /* blocks do not begin at a line */
}

uint32_t table_guess(const struct table *t, struct doc_id id)
{
    const struct slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);
    uint32_t at = first_slot(s, id.high), number = next_candidate(s, id.high, &at);
    if (number != TABLE_NONE)
        prefetch_block(t, number);
    return number;
}

uint32_t table_confirm(const struct table *t, struct doc_id id, uint32_t guess)
{
    return guess == TABLE_NONE || block_at(t, guess)->low == id.low ? guess : table_find(t, id);
}

static void place(struct slots *s, uint64_t slot)
{
    uint32_t i = first_slot(s, (uint32_t)(slot >> 32));
    while (atomic_load_explicit(&s->slot[i], memory_order_relaxed))
        i = slot_after(s, i);
    atomic_store_explicit(&s->slot[i], slot, memory_order_release);
}

static struct slots *grown(struct table *t)
{
    struct slots *old = atomic_load_explicit(&t->slots, memory_order_relaxed);
    struct slots *s = slots_new(old->capacity + old->capacity / GROWTH);
    for (uint32_t i = 0; i < old->capacity; i++) {
        uint64_t slot = atomic_load_explicit(&old->slot[i], memory_order_relaxed);
        if (slot)
            place(s, slot);
    }
    atomic_store_explicit(&t->slots, s, memory_order_release);
    rcu_retire(old);
    return s;
}

uint32_t table_upsert(struct table *t, struct doc_id id, const void *initial, bool *fresh)
{
    uint32_t number = table_find(t, id), count = table_count(t);
    *fresh = number == TABLE_NONE;
    if (!*fresh)
        return number;
    struct slots *s = atomic_load_explicit(&t->slots, memory_order_relaxed);
    if ((uint64_t)(count + 1) * 10 > (uint64_t)s->capacity * FILL_OF_10)
        s = grown(t);
    struct block *b = block_new(t, count);
    b->low = id.low;
    b->high = id.high;
    memcpy(b->content, initial, t->words * 8);
    place(s, slot_of(id.high, count)); /* the release store: whoever finds the block sees all of it */
    atomic_store_explicit(&t->count, count + 1, memory_order_release);
    return count;
}

const void *table_block(const struct table *t, uint32_t number) { return block_at(t, number)->content; }

void table_write(struct table *t, uint32_t number, const void *content)
{
    struct block *b = block_at(t, number);
    uint32_t lock = atomic_load_explicit(&b->lock, memory_order_relaxed);
    const uint8_t *p = content;
    atomic_store_explicit(&b->lock, lock + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < t->words; i++) {
        uint64_t word;
        memcpy(&word, p + 8 * i, 8);
        __atomic_store_n(&b->content[i], word, __ATOMIC_RELAXED);
    }
    atomic_store_explicit(&b->lock, lock + 2, memory_order_release);
}

void table_read(const struct table *t, uint32_t number, void *out)
{
    struct block *b = block_at(t, number);
    uint8_t *p = out;
    for (;;) {
        uint32_t lock = atomic_load_explicit(&b->lock, memory_order_acquire);
        if (lock & 1)
            continue;
        for (size_t i = 0; i < t->words; i++) {
            uint64_t word = __atomic_load_n(&b->content[i], __ATOMIC_RELAXED);
            memcpy(p + 8 * i, &word, 8);
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&b->lock, memory_order_relaxed) == lock)
            return;
    }
}

struct doc_id table_id(const struct table *t, uint32_t number)
{
    const struct block *b = block_at(t, number);
    return (struct doc_id){b->low, b->high};
}

bool table_mark_dirty(struct table *t, uint32_t number)
{
    uint64_t bit = UINT64_C(1) << number % 64, *word = &t->dirty[number / 64];
    if (*word & bit)
        return false;
    *word |= bit;
    return true;
}

void table_take_dirty(struct table *t, table_visit *visit, void *context)
{
    for (size_t i = 0; i < t->dirty_words; i++) {
        for (uint64_t left = t->dirty[i]; left; left &= left - 1)
            visit(context, (uint32_t)(64 * i) + (uint32_t)__builtin_ctzll(left));
        t->dirty[i] = 0;
    }
}

size_t table_bytes(const struct table *t)
{
    const struct slots *s = atomic_load_explicit(&t->slots, memory_order_relaxed);
    uint32_t count = table_count(t);
    struct place last = place_of(count ? count - 1 : 0);
    size_t blocks = count ? count + last.size - last.at - 1 : 0;
    return sizeof *t + blocks * t->stride + sizeof *s + s->capacity * sizeof s->slot[0] +
           t->dirty_words * sizeof *t->dirty;
}

uint32_t table_count(const struct table *t) { return atomic_load_explicit(&t->count, memory_order_acquire); }
