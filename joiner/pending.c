#include "joiner/pending.h"

#include <stdlib.h>

void pending_open(struct pending *p) { *p = (struct pending){.key_free = PENDING_NONE, .note_free = PENDING_NONE}; }

void pending_close(struct pending *p)
{
    free(p->keys);
    free(p->notes);
    key_index_close(&p->index);
    *p = (struct pending){0};
}

uint32_t pending_find(const struct pending *p, struct hash128 key)
{
    return key_index_find(&p->index, key, (struct key_entries){p->keys, sizeof *p->keys, UINT32_MAX});
}

uint32_t pending_add(struct pending *p, struct hash128 key)
{
    uint32_t i = p->key_free;
    if (i != PENDING_NONE) {
        p->key_free = p->keys[i].notes;
    } else {
        if (p->key_count == p->key_capacity) {
            p->key_capacity = p->key_capacity ? p->key_capacity * 2 : 64;
            p->keys = mem_grow(p->keys, p->key_capacity, sizeof *p->keys);
        }
        i = p->key_count++;
    }
    p->keys[i] = (struct pending_key){.key = key, .notes = PENDING_NONE};
    key_index_insert(&p->index, key, i);
    return i;
}

void pending_remove(struct pending *p, uint32_t number)
{
    CHECK(p->keys[number].notes == PENDING_NONE);
    key_index_remove(&p->index, p->keys[number].key, number);
    p->keys[number] = (struct pending_key){.notes = p->key_free}; /* whoever still names it finds no impression */
    p->key_free = number;
}

uint32_t pending_add_note(struct pending *p, uint32_t owner)
{
    uint32_t i = p->note_free;
    if (i != PENDING_NONE) {
        p->note_free = p->notes[i].next;
    } else {
        if (p->note_count == p->note_capacity) {
            p->note_capacity = p->note_capacity ? p->note_capacity * 2 : 64;
            p->notes = mem_grow(p->notes, p->note_capacity, sizeof *p->notes);
        }
        i = p->note_count++;
    }
    p->notes[i] = (struct pending_note){.owner = owner, .next = p->keys[owner].notes};
    p->keys[owner].notes = i;
    return i;
}

void pending_remove_note(struct pending *p, uint32_t note)
{
    uint32_t *link = &p->keys[p->notes[note].owner].notes;
    while (*link != note)
        link = &p->notes[*link].next;
    *link = p->notes[note].next;
    p->notes[note] = (struct pending_note){.next = p->note_free};
    p->note_free = note;
}

size_t pending_memory(const struct pending *p)
{
    return (size_t)p->key_capacity * sizeof *p->keys + (size_t)p->note_capacity * sizeof *p->notes +
           (size_t)p->index.capacity * 8;
}

size_t pending_touched(const struct pending *p)
{
    return p->key_count * sizeof *p->keys + p->note_count * sizeof *p->notes + (size_t)p->index.capacity * 8;
}
