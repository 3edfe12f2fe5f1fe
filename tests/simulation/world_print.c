/* A world for the reader of a failed case: the configuration, and what is left of the script. */
#include "tests/simulation/world.h"

#include <inttypes.h>
#include <stdio.h>

const char *act_name(enum act_kind kind)
{
    static const char *const names[] = {
#define A(name, help) #name,
        ACTS(A)
#undef A
    };
    return names[kind];
}

static void print_event(const struct world *w, const struct world_event *e)
{
    static const char *const kinds[] = {"features", "impression", "action", "row of a table"};
    const struct world_features *f = &e->features;
    printf("        s%u %s%s%s r%u u%u d%u time %+" PRId64 " id %u version %u value %g weight %g place %u", e->stream,
           e->stamped ? "stamped " : "", e->withdraw ? "withdrawn " : "", kinds[w->join.join.stream[e->stream].kind],
           e->request, e->user, e->doc, e->time - WORLD_EPOCH_MS, e->id, e->version, e->value, (double)e->weight,
           e->place);
    if (e->record)
        printf(" record %u with %u %svalues of its own", e->record, e->own.values, e->own.sparse ? "sparse " : "");
    if (f->there)
        printf(" %u %s%sfeatures of \"%s\"", f->values, f->huge ? "huge " : "", f->sparse ? "sparse " : "",
               world_representation(f->representation));
    printf("\n");
}

static void print_stages(const struct world *w)
{
    const struct joiner_config *c = &w->join.join;
    printf("window %" PRId64 " lateness %" PRId64 " key %u shards %u threads %u\n", c->window_ms,
           c->allowed_lateness_ms, w->join.key_fields, w->shards, w->threads);
    for (uint32_t i = 0; i < w->stages; i++)
        printf("stage %u: %u streams, %u labels, window %" PRId64 "%s\n", i, w->stage[i].streams, w->stage[i].labels,
               w->stage[i].window_ms, w->stage[i].at_once ? ", positives at once" : "");
}

static void print_limits(const struct world *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->limits); i++)
        printf("limits %" PRIu64 " bytes held, %" PRIu64 " waiting, %" PRIu64 " decided, %" PRIu64
               " in batches, slice %u\n",
               w->limits[i].held_bytes, w->limits[i].waiting_bytes, w->limits[i].decided_bytes,
               w->limits[i].batch_bytes, w->limits[i].slice);
    for (size_t i = 0; i < ARRAY_LEN(w->rules); i++)
        for (uint32_t k = 0; k < w->rules[i].sampling.rules; k++)
            printf("sampling %zu: keep %g by %u of places %d to %d\n", i, (double)w->rules[i].sampling.rule[k].keep,
                   w->rules[i].sampling.rule[k].unit, w->rules[i].sampling.rule[k].first,
                   w->rules[i].sampling.rule[k].last);
}

static void print_versions(const struct world *w)
{
    for (uint32_t i = 0; i < w->versions; i++)
        printf("version %u from %u and %u, reward %s: %s, dimension %u, covariance %d, representation \"%s\", "
               "batch of %u, ratio %g, age %" PRId64 ", order %d\n",
               w->version[i].id, w->version[i].samples_from[0], w->version[i].samples_from[1],
               w->version[i].reward.text, w->version[i].model->name, w->version[i].config.dimension,
               w->version[i].config.covariance, w->version[i].representation, w->version[i].batch.samples,
               w->version[i].batch.positive_ratio, w->version[i].batch.age_ms, (int)w->version[i].order);
}

static void print_join(const struct world *w)
{
    const struct joiner_config *c = &w->join.join;
    for (uint32_t i = 0; i < c->labels; i++)
        printf("label l%u: %s, cap %g%s, threshold %g%s\n", i, label_aggregate_word(c->label[i].aggregate),
               c->label[i].cap.value, c->label[i].cap.given ? "" : " (none)", c->label[i].threshold.value,
               c->label[i].threshold.given ? "" : " (none)");
    if (w->sequencing.user_events)
        printf("robots have more than %u events in %" PRId64 " ms\n", w->sequencing.user_events,
               w->sequencing.user_window_ms);
    for (uint32_t i = 0; i < c->label_filters.count; i++)
        printf("filter of samples by the %s of l%u: [%g, %g], drop %d, zeroes %" PRIx64 "\n",
               c->label_filters.filter[i].look == LOOK_AT_DELAY ? "delay" : "value", c->label_filters.filter[i].label,
               c->label_filters.filter[i].least, c->label_filters.filter[i].most, c->label_filters.filter[i].drop,
               c->label_filters.filter[i].zeroes);
    for (uint32_t i = 0; i < c->streams; i++)
        printf("stream s%u kind %d within %" PRId64 " required %d labels %" PRIx64 " rule %d key %u\n", i,
               c->stream[i].kind, c->stream[i].within_ms, c->stream[i].required, c->stream[i].labels,
               c->stream[i].attribute, c->stream[i].key_fields);
}

static void print_acts(const struct world *w)
{
    for (uint32_t i = 0; i < w->acts; i++) {
        const struct act *a = &w->act[i];
        if (a->dropped)
            continue;
        printf("%4u %s who %u", i, act_name(a->kind), a->who);
        if (a->kind == ACT_RANK || a->kind == ACT_CLOCK)
            printf(" time %+" PRId64, a->time - WORLD_EPOCH_MS);
        if (a->kind == ACT_WATERMARK)
            printf(" s%u time %+" PRId64, a->stream, a->time - WORLD_EPOCH_MS);
        printf("\n");
        for (uint32_t k = a->first; k < a->first + a->count; k++)
            if (!w->event_dropped[k])
                print_event(w, &w->event[k]);
    }
}

void world_print(const struct world *w)
{
    print_stages(w);
    print_limits(w);
    print_versions(w);
    print_join(w);
    print_acts(w);
}
