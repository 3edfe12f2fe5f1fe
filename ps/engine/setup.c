/* From the configuration to control records: what a new data directory is told, and what an old one is
 * checked against. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "ps/engine/option_reward.h"
#include "ps/engine/parts.h"
#include "ps/engine/version_model.h"
#include "ps/state/weight_prior.h"

static_assert((int)OPTION_STREAMS_MAX <= JOINER_STREAMS_MAX && (int)OPTION_STREAMS_MAX <= SEQUENCER_STREAMS_MAX &&
                  (int)OPTION_LABELS_MAX <= JOINER_LABELS_MAX && (int)OPTION_NAME_MAX == CATALOG_NAME_MAX &&
                  (int)OPTION_SAMPLES_FROM_MAX <= VERSION_SOURCES_MAX &&
                  (int)OPTION_SAMPLING_MAX <= SAMPLING_RULES_MAX && (int)OPTION_FILTERS_MAX <= FILTERS_MAX &&
                  (int)OPTION_FILTER_FIELDS == FILTER_FIELD_COUNT && (int)FILTER_IS_DEFAULT == FILTER_DEFAULT &&
                  (int)FILTER_IS_CLAMP == FILTER_CLAMP && (int)OPTION_SAMPLE_FILTERS_MAX <= LABEL_FILTERS_MAX &&
                  (int)BY_VALUE == LOOK_AT_VALUE && (int)BY_DELAY == LOOK_AT_DELAY,
              "what can be configured fits what is kept");
static_assert((int)KEY_REQUEST == JOINER_KEY_REQUEST && (int)KEY_USER == JOINER_KEY_USER &&
                  (int)KEY_DOC == JOINER_KEY_DOC && SAMPLING_IMPRESSION == 0 && SAMPLING_USER == 1,
              "key fields are copied as they are");

enum { OTHERS_SHOWN = 512 };

static uint32_t label_number(const struct catalog *c, const char *name)
{
    uint32_t i = 0;
    while (i < c->join.labels && strcmp(c->label_name[i], name) != 0)
        i++;
    CHECK(i < c->join.labels); /* options_check said so */
    return i;
}

static void set_sample_filters(const struct options *o, struct catalog *c)
{
    struct label_filters *f = &c->join.label_filters;
    f->count = o->sample_filters;
    for (uint32_t i = 0; i < o->sample_filters; i++) {
        const struct sample_filter_options *from = &o->sample_filter[i];
        bool drop = from->action == VERDICT_DROP;
        f->filter[i] = (struct label_filter){
            .label = label_number(c, from->label),
            .look = from->by,
            .least = from->min,
            .most = from->max,
            .drop = drop,
            .zeroes = drop ? 0 : UINT64_C(1) << label_number(c, *from->zero ? from->zero : from->label)};
    }
}

static void set_filters(const struct options *o, const struct catalog *c, struct filters *f)
{
    f->count = o->filters;
    for (uint32_t i = 0; i < o->filters; i++) {
        const struct filter_options *rule = &o->filter[i];
        int stream = catalog_stream(c, bytes_text(rule->stream));
        CHECK(stream >= 0); /* options_check said so */
        f->filter[i] = (struct filter){.streams = 1u << stream,
                                       .field = rule->field,
                                       .action = rule->action,
                                       .least = rule->min,
                                       .most = rule->max,
                                       .to = rule->to};
    }
}

static void set_sampling(const struct options *o, struct sampling *s)
{
    s->rules = o->sampling;
    for (uint32_t i = 0; i < o->sampling; i++) {
        const struct sampling_options *r = &o->rule[i];
        s->rule[i] = (struct sampling_rule){
            .keep = (float)r->keep,
            .unit = r->by,
            .first = r->from_position ? (int32_t)r->from_position : INT32_MIN,
            .last = r->to_position < OPTION_POSITION_MAX ? (int32_t)r->to_position : INT32_MAX,
        };
    }
}

void setup_version(const struct version_options *from, const struct catalog *schema, struct version *out)
{
    memcpy(out->name, from->name, sizeof from->name);
    memcpy(out->representation, from->representation, sizeof from->representation);
    out->model = version_model(from, &out->config);
    out->half_life_ms = (double)from->half_life_ms;
    out->validate = from->validate;
    out->policy = version_model_policy(from);
    out->encoded = from->encoder[0] != '\0';
    out->batch = (struct version_batch){from->batch_samples, from->batch_ratio, from->batch_age_ms};
    out->order = (enum version_order)from->order;
    CHECK(catalog_compile_reward(schema, bytes_text(from->reward), &out->reward, NULL) == TM_OK); /* it was checked */
}

static void set_versions(const struct options *o, struct catalog *c)
{
    c->version = mem_new(o->versions, sizeof(struct version *));
    c->state = mem_new(o->versions, sizeof *c->state);     /* all learn */
    c->encoder = mem_new(o->versions, sizeof *c->encoder); /* setup_encoders */
    c->configured = mem_new(o->versions, sizeof *c->configured);
    for (c->versions = 0; c->versions < o->versions; c->versions++) {
        struct version *v = c->version[c->versions] = mem_new(1, sizeof *v);
        v->id = c->versions + 1;
        setup_version(&o->version[c->versions], c, v);
    }
    for (uint32_t i = 0; i < o->versions; i++) {
        struct version *v = c->version[i];
        v->samples_from_count = o->version[i].samples_from_count;
        for (uint32_t k = 0; k < v->samples_from_count; k++)
            v->samples_from[k] = catalog_find(c, bytes_text(o->version[i].samples_from[k]))->id;
        if (v->samples_from_count == 0)
            v->samples_from[v->samples_from_count++] = v->id;
    }
}

enum tm_code setup_check_version(const struct engine *e, struct version_options *v, struct tm_error *err)
{
    struct option_problems problems = {0};
    char warning[OPTION_WARNING_SIZE];
    const char **versions = mem_new(e->catalog.versions + 1, sizeof(char *));
    for (uint32_t i = 0; i < e->catalog.versions; i++)
        versions[i] = e->catalog.version[i]->name;
    versions[e->catalog.versions] = v->name;
    options_check_version(v, e->configured, &(struct option_names){versions, e->catalog.versions + 1}, &problems);
    free(versions);
    enum tm_code rc = options_refuse(&problems, err);
    if (rc == TM_OK && option_reward_warning(v, e->configured, warning))
        log_line("warn", "version_reward", "version=%s %s", v->name, warning);
    return rc;
}

/* What goes by the numbers of streams and labels. */
static void set_numbered(const struct options *o, const struct catalog *have, struct catalog *out)
{
    setup_join(o, have, out);
    set_sample_filters(o, out);
    set_sampling(o, &out->join.rules.sampling);
    set_filters(o, out, &out->join.rules.filters);
}

enum tm_code setup_catalog(const struct options *o, struct catalog *out, struct tm_error *err)
{
    struct option_problems problems = {0};
    options_check(o, "configuration", &problems);
    enum tm_code rc = options_refuse(&problems, err);
    if (rc != TM_OK)
        return rc;
    *out = (struct catalog){0};
    set_numbered(o, out, out);
    set_versions(o, out);
    return TM_OK;
}

void setup_renumber(const struct options *o, const struct catalog *have, struct catalog *wanted)
{
    set_numbered(o, have, wanted);
    for (uint32_t i = 0; i < wanted->versions; i++)
        CHECK(catalog_compile_reward(wanted, bytes_text(o->version[i].reward), &wanted->version[i]->reward, NULL) ==
              TM_OK);
}

/* What was established stays: a changed window, say, would make the same log mean something else. */
static enum tm_code refuse(struct tm_error *err, const char *what, const char *name)
{
    return tm_error_set(
        err, TM_FAILED_PRECONDITION,
        "%s%s%s differs from what the data directory was made with; put the old value back, or serve the new "
        "configuration from a new data directory",
        what, *name ? " " : "", name);
}

/* As it was made. */
static bool same_config(const struct version *a, const struct version *b)
{
    struct model_config x = a->config, y = b->config;
    memcpy(x.prior, version_first_prior(a), sizeof x.prior);
    memcpy(y.prior, version_first_prior(b), sizeof y.prior);
    x.prior_means = x.prior_sds = x.prior_covariance = x.prior_precision = NULL; /* compared by what they point to */
    y.prior_means = y.prior_sds = y.prior_covariance = y.prior_precision = NULL;
    return memcmp(&x, &y, sizeof x) == 0 && weight_prior_same(a, b);
}

static bool same_waiting(const struct version *a, const struct version *b)
{
    return version_waits(a) == version_waits(b) &&
           (!version_waits(a) || (a->batch.samples == b->batch.samples && a->batch.age_ms == b->batch.age_ms &&
                                  a->batch.positive_ratio == b->batch.positive_ratio && a->order == b->order));
}

bool setup_same_version(const struct version *a, const struct version *b)
{
    return a->model == b->model && same_config(a, b) && a->half_life_ms == b->half_life_ms &&
           strcmp(a->reward.text, b->reward.text) == 0 && a->validate == b->validate && a->encoded == b->encoded &&
           same_waiting(a, b) && version_policy_same(&a->policy, &b->policy) &&
           strcmp(a->representation, b->representation) == 0 && a->samples_from_count == b->samples_from_count &&
           memcmp(a->samples_from, b->samples_from, sizeof a->samples_from) == 0;
}

uint32_t setup_next_id(const struct catalog *c)
{
    uint32_t next = 1;
    for (uint32_t i = 0; i < c->versions; i++)
        next = c->version[i]->id >= next ? c->version[i]->id + 1 : next;
    return next;
}

/* Internal ids: those that exist keep theirs, new ones follow behind the largest ever given. */
static void number_versions(const struct catalog *have, struct catalog *want)
{
    uint32_t next = setup_next_id(have);
    uint32_t *number = mem_new(want->versions + 1, sizeof *number);
    for (uint32_t i = 0; i < want->versions; i++) {
        const struct version *old = catalog_find(have, bytes_text(want->version[i]->name));
        number[want->version[i]->id] = old ? old->id : next++;
    }
    for (uint32_t i = 0; i < want->versions; i++) {
        struct version *v = want->version[i];
        v->id = number[v->id];
        for (uint32_t k = 0; k < v->samples_from_count; k++)
            v->samples_from[k] = number[v->samples_from[k]];
    }
    free(number);
}

static enum tm_code append_version(struct engine *e, const struct version *v, const struct encoder_id *encoder,
                                   struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    uint64_t position;
    catalog_pack_version(v, encoder, &control);
    return control_append(e, &control, &position, err);
}

static enum tm_code compare_versions(const struct catalog *have, const struct catalog *want, struct tm_error *err)
{
    for (uint32_t i = 0; i < want->versions; i++) {
        const struct version *v = want->version[i], *old = catalog_find(have, bytes_text(v->name));
        if (old && !setup_same_version(old, v))
            return refuse(err, "version", v->name);
    }
    return TM_OK;
}

static enum tm_code check_room(const struct catalog *have, const struct catalog *want, struct tm_error *err)
{
    uint32_t count = have->versions;
    for (uint32_t i = 0; i < want->versions; i++) {
        const char *name = want->version[i]->name;
        if (catalog_find(have, bytes_text(name)) || count++ < ENGINE_VERSIONS_MAX)
            continue;
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                            "version %s: there are %u versions already, those of earlier configurations among them; "
                            "expected at most %d in all",
                            name, have->versions, ENGINE_VERSIONS_MAX);
    }
    return TM_OK;
}

/* What a shard keeps for paused versions, decisions and corrections is its part of the budgets. Changing them changes
 * what is learned, so they are a control record. */
static enum tm_code apply_limits(struct engine *e, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    uint64_t position;
    struct catalog_limits limits = catalog_limits(&e->catalog);
    uint64_t held = e->options.memory_samples / e->options.shards;
    uint64_t waiting = e->options.memory_join / e->options.shards;
    uint64_t decided = e->options.memory_corrections / e->options.shards;
    uint64_t batches = e->options.memory_batches / e->options.shards;
    if (limits.held_bytes == held && limits.waiting_bytes == waiting && limits.decided_bytes == decided &&
        limits.batch_bytes == batches)
        return TM_OK;
    limits.held_bytes = held;
    limits.waiting_bytes = waiting;
    limits.decided_bytes = decided;
    limits.batch_bytes = batches;
    catalog_pack_limits(&limits, &control);
    return control_append(e, &control, &position, err);
}

/* Rules may change from one start to the next: each holds for what comes behind its record. */
static enum tm_code apply_rules(struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer have = {0}, want = {0};
    uint64_t position;
    catalog_pack_rules(&e->catalog.join.rules, &have);
    catalog_pack_rules(&wanted->join.rules, &want);
    if (bytes_equal(buffer_view(&have), buffer_view(&want)))
        return TM_OK;
    return control_append(e, &want, &position, err);
}

/* Versions made at run time, or left out of the configuration since. */
static void tell_others(const struct catalog *have, const struct catalog *want)
{
    char names[OTHERS_SHOWN] = "";
    uint32_t others = 0;
    for (uint32_t i = 0; i < have->versions; i++) {
        size_t used = strlen(names);
        if (catalog_find(want, bytes_text(have->version[i]->name)))
            continue;
        snprintf(names + used, sizeof names - used, "%s%s", others++ ? "," : "", have->version[i]->name);
    }
    if (others > 0)
        log_line("info", "versions_not_configured", "count=%u versions=%s they go on as they were", others, names);
}

/* Everything is compared before anything is appended: a refused configuration leaves no part of itself in the log. */
enum tm_code setup_apply(struct engine *e, struct catalog *wanted, struct tm_error *err)
{
    bool joined = e->catalog.joined;
    enum tm_code rc = joined ? setup_compare_join(e, wanted, err) : TM_OK;
    number_versions(&e->catalog, wanted);
    if (rc == TM_OK)
        rc = setup_priors(e, wanted, err);
    if (rc == TM_OK)
        rc = compare_versions(&e->catalog, wanted, err);
    if (rc == TM_OK)
        rc = check_room(&e->catalog, wanted, err);
    if (rc == TM_OK)
        rc = setup_compare_encoders(e, wanted, err);
    if (rc == TM_OK)
        rc = setup_apply_join(e, wanted, err);
    for (uint32_t i = 0; rc == TM_OK && i < wanted->versions; i++)
        if (!catalog_find(&e->catalog, bytes_text(wanted->version[i]->name)))
            rc = append_version(e, wanted->version[i], &wanted->encoder[i], err);
    if (rc == TM_OK)
        rc = setup_apply_encoders(e, wanted, err);
    if (rc == TM_OK)
        rc = apply_limits(e, err);
    if (rc == TM_OK)
        rc = apply_rules(e, wanted, err);
    if (rc == TM_OK) {
        setup_remember_encoders(e, wanted);
        tell_others(&e->catalog, wanted);
    }
    return rc;
}
