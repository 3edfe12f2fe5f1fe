#include "client/recompute_names.h"

#include <stdlib.h>

#include "base/hash.h"

enum { FIRST_CAPACITY = 1024 };

void names_close(struct names *n)
{
    buffer_close(&n->text);
    free(n->place);
    free(n->index);
    *n = (struct names){0};
}

struct bytes names_text(const struct names *n, uint32_t number)
{
    if (number == 0)
        return (struct bytes){0};
    const struct name_place *p = &n->place[number - 1];
    return bytes_of(n->text.data + p->at, p->size);
}

/* Where the text is, or would be. */
static size_t slot_of(const struct names *n, struct bytes text)
{
    size_t mask = 2 * (size_t)n->capacity - 1, slot = hash_64(text) & mask;
    while (n->index[slot] && !bytes_equal(names_text(n, n->index[slot]), text))
        slot = (slot + 1) & mask;
    return slot;
}

static void grow(struct names *n)
{
    CHECK(n->capacity < UINT32_MAX / 2);
    n->capacity = n->capacity ? 2 * n->capacity : FIRST_CAPACITY;
    n->place = mem_grow(n->place, n->capacity, sizeof *n->place);
    free(n->index);
    n->index = mem_new(2 * (size_t)n->capacity, sizeof *n->index);
    for (uint32_t i = 1; i <= n->count; i++)
        n->index[slot_of(n, names_text(n, i))] = i;
}

uint32_t names_number(struct names *n, struct bytes text)
{
    if (!text.data)
        return 0;
    if (n->count == n->capacity)
        grow(n);
    size_t slot = slot_of(n, text);
    if (n->index[slot])
        return n->index[slot];
    n->place[n->count++] = (struct name_place){n->text.size, (uint32_t)text.size};
    buffer_put(&n->text, text.data, text.size);
    n->index[slot] = n->count;
    return n->count;
}

size_t names_memory(const struct names *n)
{
    return n->text.capacity + n->capacity * (sizeof *n->place + 2 * sizeof *n->index);
}
