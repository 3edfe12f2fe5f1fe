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
    _Atomic uint64_t low;  /* of the document's hash: TABLE_NOBODY's while it is free */
    _Atomic uint32_t lock; /* odd while the writer is at it */
    _Atomic uint32_t high; /* the rest of the identity; while readers look for a block, the slot has it, too */
    uint64_t content[];    /* loaded and stored as atomic words */
};

/* A slot that was taken and is not: a search goes on behind it, a new document may have it. */
#define SLOT_GONE UINT32_MAX

/* A document's first slot is at the share of the capacity that its hash is of 2^32: any capacity will do, and growing
 * goes through both indexes from front to back. */
struct slots {
    uint32_t capacity;
    _Atomic uint64_t slot[]; /* high 32 bits of the identity, then block number + 1 */
};

struct table {
    size_t words, stride;
    struct slots *_Atomic slots;
    uint32_t used;          /* slots that are not empty, the writer's */
    _Atomic uint32_t count; /* blocks, free ones among them */
    _Atomic uint32_t free_count;
    _Atomic uint64_t era;
    uint8_t *_Atomic segment[SEGMENTS]; /* see place_of */
    uint64_t *dirty;                    /* the writer's: a bit for each block */
    size_t bit_words;
    uint64_t *free; /* another, from the first document that is removed on */
    size_t free_words;
    size_t first_free; /* no word of `free` before it has a bit */
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
    free(t->free);
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

static uint64_t *grow_bits(uint64_t *bits, size_t from, size_t to)
{
    bits = mem_grow(bits, to, sizeof *bits);
    memset(bits + from, 0, (to - from) * sizeof *bits);
    return bits;
}

static struct block *block_new(struct table *t, uint32_t number)
{
    struct place p = place_of(number);
    CHECK(p.segment < SEGMENTS);
    if (p.at == 0)
        atomic_store_explicit(&t->segment[p.segment], mem_new(p.size, t->stride), memory_order_release);
    if (number / 64 == t->bit_words) {
        size_t words = t->bit_words ? 2 * t->bit_words : 1;
        t->dirty = grow_bits(t->dirty, t->bit_words, words);
        t->bit_words = words;
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
        if ((uint32_t)(slot >> 32) == high && (uint32_t)slot != SLOT_GONE)
            return (uint32_t)slot - 1u;
    }
}

static uint64_t low_of(const struct table *t, uint32_t number)
{
    return atomic_load_explicit(&block_at(t, number)->low, memory_order_relaxed);
}

uint32_t table_find(const struct table *t, struct doc_id id)
{
    const struct slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);
    uint32_t at = first_slot(s, id.high), number;
    do
        number = next_candidate(s, id.high, &at);
    while (number != TABLE_NONE && low_of(t, number) != id.low);
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
    return guess == TABLE_NONE || low_of(t, guess) == id.low ? guess : table_find(t, id);
}

/* Returns whether the slot was empty. */
static bool place(struct slots *s, uint64_t slot)
{
    uint32_t i = first_slot(s, (uint32_t)(slot >> 32));
    uint64_t was;
    while ((was = atomic_load_explicit(&s->slot[i], memory_order_relaxed)) && (uint32_t)was != SLOT_GONE)
        i = slot_after(s, i);
    atomic_store_explicit(&s->slot[i], slot, memory_order_release);
    return was == 0;
}

/* Into an index with room for one more, without the slots of those that are gone. */
static struct slots *made_anew(struct table *t)
{
    struct slots *old = atomic_load_explicit(&t->slots, memory_order_relaxed);
    uint64_t live = table_count(t) - table_free(t) + 1;
    bool full = live * 10 > (uint64_t)old->capacity * FILL_OF_10;
    /* As large as it is only if that leaves an eighth of it to fill before the next time. */
    full = full || (live + old->capacity / GROWTH) * 10 > (uint64_t)old->capacity * FILL_OF_10;
    struct slots *s = slots_new(full ? old->capacity + old->capacity / GROWTH : old->capacity);
    t->used = 0;
    for (uint32_t i = 0; i < old->capacity; i++) {
        uint64_t slot = atomic_load_explicit(&old->slot[i], memory_order_relaxed);
        if (slot && (uint32_t)slot != SLOT_GONE)
            t->used += place(s, slot);
    }
    atomic_store_explicit(&t->slots, s, memory_order_release);
    rcu_retire(old);
    return s;
}

/* The block is somebody's again. */
static void clear_free(struct table *t, uint32_t number)
{
    t->free[number / 64] &= ~(UINT64_C(1) << number % 64);
    atomic_store_explicit(&t->free_count, table_free(t) - 1, memory_order_relaxed);
}

/* The lowest free block: so which one a document gets follows from which are free. */
static uint32_t take_free(struct table *t)
{
    while (t->free[t->first_free] == 0)
        t->first_free++;
    uint64_t *word = &t->free[t->first_free];
    uint32_t number = (uint32_t)(64 * t->first_free) + (uint32_t)__builtin_ctzll(*word);
    clear_free(t, number);
    return number;
}

static void lock_block(struct block *b)
{
    uint32_t lock = atomic_load_explicit(&b->lock, memory_order_relaxed);
    atomic_store_explicit(&b->lock, lock + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void unlock_block(struct block *b)
{
    atomic_store_explicit(&b->lock, atomic_load_explicit(&b->lock, memory_order_relaxed) + 1, memory_order_release);
}

static void put_content(struct block *b, size_t words, const uint8_t *p)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, p + 8 * i, 8);
        __atomic_store_n(&b->content[i], word, __ATOMIC_RELAXED);
    }
}

/* Somebody may still read it as the document's that had it before. */
static void give_block(struct table *t, uint32_t number, struct doc_id id, const void *content)
{
    struct block *b = block_at(t, number);
    lock_block(b);
    atomic_store_explicit(&b->low, id.low, memory_order_relaxed);
    atomic_store_explicit(&b->high, id.high, memory_order_relaxed);
    put_content(b, t->words, content);
    unlock_block(b);
}

static void index_block(struct table *t, uint32_t number, struct doc_id id)
{
    struct slots *s = atomic_load_explicit(&t->slots, memory_order_relaxed);
    if ((uint64_t)(t->used + 1) * 10 > (uint64_t)s->capacity * FILL_OF_10)
        s = made_anew(t);
    t->used += place(s, slot_of(id.high, number)); /* a release: whoever finds the block sees all of it */
}

uint32_t table_upsert(struct table *t, struct doc_id id, const void *initial, bool *fresh)
{
    uint32_t number = table_find(t, id);
    *fresh = number == TABLE_NONE;
    if (!*fresh)
        return number;
    bool reused = table_free(t) > 0;
    number = reused ? take_free(t) : table_count(t);
    if (!reused)
        block_new(t, number);
    give_block(t, number, id, initial);
    index_block(t, number, id);
    if (!reused)
        atomic_store_explicit(&t->count, number + 1, memory_order_release);
    return number;
}

static void set_free(struct table *t, uint32_t number)
{
    if (number / 64 >= t->free_words) {
        t->free = grow_bits(t->free, t->free_words, t->bit_words);
        t->free_words = t->bit_words;
    }
    t->free[number / 64] |= UINT64_C(1) << number % 64;
    t->first_free = number / 64 < t->first_free ? number / 64 : t->first_free;
    atomic_store_explicit(&t->free_count, table_free(t) + 1, memory_order_relaxed);
}

void table_remove(struct table *t, uint32_t number)
{
    struct slots *s = atomic_load_explicit(&t->slots, memory_order_relaxed);
    struct doc_id id = table_id(t, number);
    uint64_t slot = slot_of(id.high, number);
    uint32_t i = first_slot(s, id.high);
    CHECK(!doc_id_equal(id, TABLE_NOBODY));
    while (atomic_load_explicit(&s->slot[i], memory_order_relaxed) != slot)
        i = slot_after(s, i);
    atomic_store_explicit(&s->slot[i], (uint64_t)id.high << 32 | SLOT_GONE, memory_order_release);
    uint8_t *nothing = mem_new(t->words, 8);
    give_block(t, number, TABLE_NOBODY, nothing);
    free(nothing);
    set_free(t, number);
}

void table_place(struct table *t, uint32_t number, struct doc_id id, const void *content)
{
    bool there = number < table_count(t), nobodys = doc_id_equal(id, TABLE_NOBODY);
    CHECK(number <= table_count(t));
    if (there && !doc_id_equal(table_id(t, number), TABLE_NOBODY))
        table_remove(t, number);
    if (!there) {
        block_new(t, number);
        atomic_store_explicit(&t->count, number + 1, memory_order_release);
    }
    if (nobodys && there)
        return;
    give_block(t, number, id, content);
    if (nobodys) {
        set_free(t, number);
        return;
    }
    if (there)
        clear_free(t, number);
    index_block(t, number, id);
}

const void *table_block(const struct table *t, uint32_t number) { return block_at(t, number)->content; }

void table_write(struct table *t, uint32_t number, const void *content)
{
    struct block *b = block_at(t, number);
    lock_block(b);
    put_content(b, t->words, content);
    unlock_block(b);
}

/* A block that is written behind it is seen with it: the fence stands between the two. */
void table_set_era(struct table *t, uint64_t era)
{
    atomic_store_explicit(&t->era, era, memory_order_release);
    atomic_thread_fence(memory_order_release);
}

/* A reader's copy of a block ends with a fence, too (table_read). */
uint64_t table_era(const struct table *t) { return atomic_load_explicit(&t->era, memory_order_acquire); }

static struct doc_id id_of(const struct block *b)
{
    return (struct doc_id){atomic_load_explicit(&b->low, memory_order_relaxed),
                           atomic_load_explicit(&b->high, memory_order_relaxed)};
}

bool table_read(const struct table *t, uint32_t number, struct doc_id id, void *out)
{
    struct block *b = block_at(t, number);
    uint8_t *p = out;
    for (;;) {
        uint32_t lock = atomic_load_explicit(&b->lock, memory_order_acquire);
        if (lock & 1)
            continue;
        struct doc_id whose = id_of(b);
        for (size_t i = 0; i < t->words; i++) {
            uint64_t word = __atomic_load_n(&b->content[i], __ATOMIC_RELAXED);
            memcpy(p + 8 * i, &word, 8);
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&b->lock, memory_order_relaxed) == lock)
            return doc_id_equal(whose, id);
    }
}

struct doc_id table_id(const struct table *t, uint32_t number) { return id_of(block_at(t, number)); }

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
    for (size_t i = 0; i < t->bit_words; i++) {
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
           (t->bit_words + t->free_words) * sizeof *t->dirty;
}

uint32_t table_free(const struct table *t) { return atomic_load_explicit(&t->free_count, memory_order_relaxed); }

uint32_t table_count(const struct table *t) { return atomic_load_explicit(&t->count, memory_order_acquire); }
