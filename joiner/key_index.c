#include "joiner/key_index.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

static uint32_t tag_of(struct hash128 key) { return (uint32_t)key.lo; }
static uint64_t slot_of(uint32_t tag, uint32_t number) { return (uint64_t)tag << 32 | (number + 1u); }
static uint32_t slot_tag(uint64_t slot) { return (uint32_t)(slot >> 32); }
static uint32_t slot_number(uint64_t slot) { return (uint32_t)slot - 1u; }

void key_index_close(struct key_index *x)
{
    free(x->slots);
    *x = (struct key_index){0};
}

void key_index_clear(struct key_index *x)
{
    if (x->used)
        memset(x->slots, 0, x->capacity * sizeof *x->slots);
    x->used = 0;
}

void key_index_prefetch(const struct key_index *x, struct hash128 key)
{
    if (x->capacity)
        __builtin_prefetch(&x->slots[tag_of(key) & (x->capacity - 1)]);
}

uint32_t key_index_guess(const struct key_index *x, struct hash128 key)
{
    uint32_t tag = tag_of(key);
    if (!x->capacity)
        return KEY_INDEX_NONE;
    for (uint32_t i = tag & (x->capacity - 1); x->slots[i]; i = (i + 1) & (x->capacity - 1))
        if (slot_tag(x->slots[i]) == tag)
            return slot_number(x->slots[i]);
    return KEY_INDEX_NONE;
}

uint32_t key_index_find(const struct key_index *x, struct hash128 key, struct key_entries entries)
{
    uint32_t tag = tag_of(key);
    if (!x->capacity)
        return KEY_INDEX_NONE;
    for (uint32_t i = tag & (x->capacity - 1); x->slots[i]; i = (i + 1) & (x->capacity - 1)) {
        if (slot_tag(x->slots[i]) == tag) {
            uint32_t number = slot_number(x->slots[i]);
            const struct hash128 *k =
                (const void *)((const char *)entries.entries + (number & entries.mask) * entries.stride);
            if (hash128_equal(*k, key))
                return number;
        }
    }
    return KEY_INDEX_NONE;
}

static void place(struct key_index *x, uint64_t slot)
{
    uint32_t i = slot_tag(slot) & (x->capacity - 1);
    while (x->slots[i])
        i = (i + 1) & (x->capacity - 1);
    x->slots[i] = slot;
}

static void grow(struct key_index *x)
{
    struct key_index old = *x;
    x->capacity = old.capacity ? old.capacity * 2 : CAPACITY_MIN;
    CHECK(x->capacity);
    x->slots = mem_new(x->capacity, sizeof *x->slots);
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.slots[i])
            place(x, old.slots[i]);
    free(old.slots);
}

void key_index_insert(struct key_index *x, struct hash128 key, uint32_t number)
{
    if ((uint64_t)(x->used + 1) * 4 > (uint64_t)x->capacity * 3)
        grow(x);
    place(x, slot_of(tag_of(key), number));
    x->used++;
}

void key_index_remove(struct key_index *x, struct hash128 key, uint32_t number)
{
    uint32_t mask = x->capacity - 1, hole = tag_of(key) & mask;
    uint64_t slot = slot_of(tag_of(key), number);
    CHECK(x->capacity);
    while (x->slots[hole] != slot) {
        CHECK(x->slots[hole]);
        hole = (hole + 1) & mask;
    }
    /* Pull back every later slot of the run whose home is not behind the hole: no tombstones, ever. */
    for (uint32_t i = (hole + 1) & mask; x->slots[i]; i = (i + 1) & mask) {
        uint32_t home = slot_tag(x->slots[i]) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            x->slots[hole] = x->slots[i];
            hole = i;
        }
    }
    x->slots[hole] = 0;
    x->used--;
}
