/* A world from its seed: in this order, for every number drawn decides all that come after it. */
#include "tests/simulation/world.h"

#include <stdlib.h>

#include "tests/simulation/world_author.h"

/* Slices of a few samples, so that catching up takes many blocks. */
static void make_limits(struct author *a)
{
    for (size_t i = 0; i < ARRAY_LEN(a->w->limits); i++)
        a->w->limits[i] =
            (struct catalog_limits){.slice = chance(a, 70) ? between(a, 1, 4) : between(a, 5, 50),
                                    .held_bytes = chance(a, 65) ? UINT64_C(1) << 30 : between(a, 1, 2500),
                                    .batch_bytes = chance(a, 65) ? UINT64_C(1) << 30 : between(a, 1, 3000),
                                    .waiting_bytes = chance(a, 70) ? 0 : between(a, 200, 6000),
                                    .decided_bytes = chance(a, 70) ? 0 : between(a, 60, 3000)};
}

static void make_clients(struct author *a)
{
    struct world *w = a->w;
    uint32_t actions = 0, rest = 0;
    for (uint32_t i = 0; i < w->join.join.streams; i++)
        *(w->join.join.stream[i].kind == JOINER_ACTION ? &actions : &rest) |= 1u << i;
    if (!a->orderly && chance(a, 8)) { /* the classic outage */
        w->stalled = actions;
        actions = 0;
    }
    w->clients = a->orderly ? 1 : between(a, 1, 3);
    for (uint32_t i = 0; i < w->clients; i++) {
        if (chance(a, 40) || actions == 0) {
            w->lane[w->lanes++] = (struct world_lane){i, 0, actions | rest};
        } else {
            w->lane[w->lanes++] = (struct world_lane){i, 0, rest};
            w->lane[w->lanes++] = (struct world_lane){i, 1, actions};
        }
    }
    w->sequencing = (struct sequencer_options){.streams = w->join.join.streams,
                                               .window_ms = w->join.join.window_ms,
                                               .producer_timeout_ms = 100,
                                               .producer_retain_ms = chance(a, 80) ? 1000000 : WORLD_SHORT_MEMORY_MS,
                                               .producers_max = chance(a, 90) ? 50 : w->lanes + 1 /* the server */};
    if (chance(a, 15)) {
        w->sequencing.user_events = between(a, 3, 40);
        w->sequencing.user_window_ms = a->unit * between(a, 2, 40);
    }
    for (uint32_t i = 0; i < w->join.join.streams; i++)
        w->sequencing.out_of_orderness_ms[i] = chance(a, 50) ? 0 : a->unit * between(a, 1, 3);
}

void world_make(struct world *w, uint64_t seed)
{
    *w = (struct world){.seed = seed};
    struct author a = {.w = w, .r = {seed}, .now = WORLD_EPOCH_MS};
    random_next(&a.r);
    a.orderly = chance(&a, 30);
    a.tardy = a.orderly && chance(&a, 60);
    a.pauses = a.orderly || chance(&a, 60);
    a.ranks = chance(&a, 50);
    author_make_join(&a);
    author_make_versions(&a);
    author_make_rules(&a);
    make_limits(&a);
    make_clients(&a);
    w->shards = a.orderly ? 2 : between(&a, 2, WORLD_SHARDS_MAX);
    w->threads = between(&a, 1, WORLD_THREADS_MAX);
    w->requests = between(&a, 1, chance(&a, 35) ? 3 : 50);
    w->users = between(&a, 1, 3);
    w->docs = between(&a, 1, WORLD_DOCS_MAX);
    if (a.orderly)
        w->requests = 200;
    a.mad = !a.orderly && chance(&a, 20);
    a.records = chance(&a, 50) ? between(&a, 10, 60) : 0;
    a.crowd = !a.orderly && chance(&a, 15) ? 80 : 0;
    uint32_t events = chance(&a, 70) ? between(&a, 20, 90) : between(&a, 90, 300);
    while (w->events < events)
        author_add_habit(&a);
    if (chance(&a, 50))
        author_add_end(&a);
    w->event_dropped = mem_new(w->events, sizeof *w->event_dropped);
}

void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        free(w->version[i].weight_prior);
    free(w->event);
    free(w->event_dropped);
    free(w->act);
}
