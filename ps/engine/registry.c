#include "ps/engine/registry.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { INDEX_SLOTS = 2 * CATALOG_VERSIONS_MAX, EMPTY = 0 };

static_assert((INDEX_SLOTS & (INDEX_SLOTS - 1)) == 0, "a hash is cut to a slot by a mask");
static_assert(CATALOG_VERSIONS_MAX < UINT16_MAX, "an entry's number + 1 fits a slot");

struct entry {
    const struct version *_Atomic version;
    _Atomic uint8_t state;                /* enum version_state */
    struct encoder_name *_Atomic encoder; /* NULL: none */
};

/* Readers may still have the one before, so it stays. */
struct encoder_name {
    struct encoder_id id;
    struct encoder_name *before;
};

struct registry {
    struct entry entry[CATALOG_VERSIONS_MAX];
    _Atomic uint32_t count;
    struct version **before; /* copies that were replaced: somebody may still read them */
    _Atomic uint32_t changes;
    _Atomic uint16_t index[INDEX_SLOTS]; /* number of the entry + 1; probed one after the other */
};

struct registry *registry_open(void) { return mem_new(1, sizeof(struct registry)); }

static const struct version *version_at(const struct registry *r, uint32_t i)
{
    return atomic_load_explicit(&r->entry[i].version, memory_order_acquire);
}

static void free_names(struct entry *entry)
{
    for (struct encoder_name *n = atomic_load(&entry->encoder), *before; n; n = before) {
        before = n->before;
        free(n);
    }
}

void registry_close(struct registry *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->count; i++) {
        free((void *)(uintptr_t)version_at(r, i));
        free_names(&r->entry[i]);
    }
    for (uint32_t i = 0; i < r->changes; i++)
        free(r->before[i]);
    free(r->before);
    free(r);
}

static void name_encoder(struct entry *entry, const struct encoder_id *id)
{
    struct encoder_name *now = atomic_load_explicit(&entry->encoder, memory_order_relaxed);
    if (!id->text[0] || (now && strcmp(now->id.text, id->text) == 0))
        return;
    struct encoder_name *next = mem_new(1, sizeof *next);
    *next = (struct encoder_name){*id, now};
    atomic_store_explicit(&entry->encoder, next, memory_order_release);
}

static struct version *copy_of(const struct version *v)
{
    struct version *copy = mem_new(1, sizeof *copy);
    *copy = *v;
    return copy;
}

static uint32_t first_slot(struct bytes name) { return (uint32_t)hash_64(name) & (INDEX_SLOTS - 1); }
static uint32_t next_slot(uint32_t slot) { return (slot + 1) & (INDEX_SLOTS - 1); }

static void append(struct registry *r, const struct version *v)
{
    uint32_t number = atomic_load_explicit(&r->count, memory_order_relaxed);
    uint32_t slot = first_slot(bytes_text(v->name));
    CHECK(number < CATALOG_VERSIONS_MAX);
    atomic_store_explicit(&r->entry[number].version, copy_of(v), memory_order_relaxed);
    while (atomic_load_explicit(&r->index[slot], memory_order_relaxed) != EMPTY)
        slot = next_slot(slot);
    atomic_store_explicit(&r->index[slot], (uint16_t)(number + 1), memory_order_release);
    atomic_store_explicit(&r->count, number + 1, memory_order_release);
}

/* Its prior changed: readers that come from now on see the new copy. */
static void replace(struct registry *r, uint32_t number, const struct version *v)
{
    uint32_t changes = registry_changes(r);
    r->before = mem_grow(r->before, changes + 1, sizeof *r->before);
    r->before[changes] = (struct version *)(uintptr_t)version_at(r, number);
    atomic_store_explicit(&r->entry[number].version, copy_of(v), memory_order_release);
    atomic_store_explicit(&r->changes, changes + 1, memory_order_relaxed);
}

void registry_follow(struct registry *r, const struct catalog *c)
{
    uint32_t there = registry_count(r);
    for (uint32_t i = 0; i < there; i++)
        if (memcmp(version_at(r, i)->config.prior, c->version[i]->config.prior, sizeof c->version[i]->config.prior))
            replace(r, i, c->version[i]);
    for (uint32_t i = there; i < c->versions; i++)
        append(r, c->version[i]);
    for (uint32_t i = 0; i < c->versions; i++) {
        atomic_store_explicit(&r->entry[i].state, (uint8_t)c->state[i], memory_order_release);
        name_encoder(&r->entry[i], &c->encoder[i]);
    }
}

uint32_t registry_count(const struct registry *r) { return atomic_load_explicit(&r->count, memory_order_acquire); }
const struct version *registry_at(const struct registry *r, uint32_t i) { return version_at(r, i); }
uint32_t registry_changes(const struct registry *r) { return atomic_load_explicit(&r->changes, memory_order_relaxed); }

const struct version *registry_find(const struct registry *r, struct bytes name)
{
    uint16_t number;
    for (uint32_t slot = first_slot(name);; slot = next_slot(slot)) {
        number = atomic_load_explicit(&r->index[slot], memory_order_acquire);
        if (number == EMPTY)
            return NULL;
        const struct version *v = version_at(r, number - 1u);
        if (bytes_equal(name, bytes_text(v->name)))
            return v;
    }
}

/* Ids grow from 1, so most versions stand at the place of their id. */
static const struct entry *find_id(const struct registry *r, uint32_t id)
{
    uint32_t count = registry_count(r);
    if (id - 1 < count && version_at(r, id - 1)->id == id)
        return &r->entry[id - 1];
    for (uint32_t i = 0; i < count; i++)
        if (version_at(r, i)->id == id)
            return &r->entry[i];
    return NULL;
}

const struct version *registry_by_id(const struct registry *r, uint32_t id)
{
    const struct entry *found = find_id(r, id);
    return found ? atomic_load_explicit(&found->version, memory_order_acquire) : NULL;
}

enum version_state registry_state(const struct registry *r, const struct version *v)
{
    const struct entry *found = find_id(r, v->id);
    return found ? (enum version_state)atomic_load_explicit(&found->state, memory_order_acquire) : VERSION_LEARNING;
}

const char *registry_encoder(const struct registry *r, const struct version *v)
{
    const struct entry *found = find_id(r, v->id);
    const struct encoder_name *name = found ? atomic_load_explicit(&found->encoder, memory_order_acquire) : NULL;
    return name ? name->id.text : NULL;
}
