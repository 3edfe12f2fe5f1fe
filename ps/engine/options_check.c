#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "joiner/joiner.h"
#include "learner/features.h"
#include "ps/engine/encoders.h"
#include "ps/engine/option_reward.h"
#include "ps/engine/prior_option.h"
#include "ps/engine/version_model.h"

struct checking {
    const struct options *o;
    const char *path;
    struct option_problems *problems;
};

/* 127.0.0.0/8, [::1] or localhost; the text is host:port. */
static bool is_loopback(const char *listen)
{
    char host[OPTION_NAME_MAX];
    struct in_addr v4;
    struct in6_addr v6;
    const char *colon = strrchr(listen, ':');
    size_t size = colon ? (size_t)(colon - listen) : 0;
    if (size == 0 || size >= sizeof host)
        return false;
    memcpy(host, listen, size);
    host[size] = '\0';
    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (host[0] != '[')
        return false;
    host[size - 1] = '\0';
    return inet_pton(AF_INET6, host + 1, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static void check_address(const struct checking *c, const char *key, const char *address)
{
    char shown[OPTION_SHOWN_SIZE];
    if (!is_loopback(address))
        option_problem(c->problems, c->path, NULL,
                       "%s: %s is open to the network and this version has no authentication; "
                       "expected a loopback address",
                       key, option_shown(address, shown));
}

static void check_scalars(const struct checking *c)
{
    const struct options *o = c->o;
    char a[UNITS_TEXT_SIZE], b[UNITS_TEXT_SIZE];
    check_address(c, "listen", o->listen);
    if (strcmp(o->http, OPTION_OFF) != 0)
        check_address(c, "http", o->http);
    if (!(o->key_fields & KEY_DOC))
        option_problem(c->problems, c->path, NULL,
                       "join.key: got no doc; expected a list with doc such as [request, doc]");
    if (o->window_ms > o->allowed_lateness_ms)
        option_problem(c->problems, c->path, NULL, "join.window: got %s; expected at most join.allowed_lateness, %s",
                       duration_text(o->window_ms, a), duration_text(o->allowed_lateness_ms, b));
}

/* Every item starts with its place and has its name as its first row. */
static const char *item_name(const struct option_list *list, const struct options *o, uint32_t i)
{
    return (const char *)option_item(list, o, i) + list->rows[0].offset;
}

static void check_names(const struct checking *c, const struct option_list *list)
{
    uint32_t count = *option_item_count(list, c->o);
    if (count == 0 && !list->may_be_empty)
        option_problem(c->problems, c->path, NULL, "%s: none; expected at least one", list->key);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = item_name(list, c->o, i);
        uint32_t first = 0;
        while (strcmp(item_name(list, c->o, first), name) != 0)
            first++;
        if (first < i && *name)
            option_problem(c->problems, c->path, option_item(list, c->o, i), "%s[%u].name: got %s again; %s[%u] has it",
                           list->key, i, name, list->key, first);
    }
}

static void check_within(const struct checking *c, const struct stream_options *s, uint32_t i)
{
    char a[UNITS_TEXT_SIZE], b[UNITS_TEXT_SIZE], d[UNITS_TEXT_SIZE];
    if (s->within_given && s->kind != STREAM_ACTION)
        option_problem(c->problems, c->path, &s->place, "streams[%u].within: only action streams have it", i);
    else if (s->within_given && (s->within_ms < c->o->window_ms || s->within_ms > c->o->allowed_lateness_ms))
        option_problem(c->problems, c->path, &s->place,
                       "streams[%u].within: got %s; expected from join.window, %s, to join.allowed_lateness, %s", i,
                       duration_text(s->within_ms, a), duration_text(c->o->window_ms, b),
                       duration_text(c->o->allowed_lateness_ms, d));
}

static void check_table(const struct checking *c, const struct stream_options *s, uint32_t i)
{
    if (!s->key_fields)
        option_problem(c->problems, c->path, &s->place,
                       "streams[%u].key: missing; expected what the table's rows are about, such as [user]", i);
}

static void check_key(const struct checking *c, const struct stream_options *s, uint32_t i)
{
    if (s->key_fields && s->kind == STREAM_FEATURES)
        option_problem(c->problems, c->path, &s->place,
                       "streams[%u].key: features have the join key, because a record goes where its document is; send "
                       "those of a request once for all its documents, in a record with items",
                       i);
    else if (s->attribute && s->kind != STREAM_ACTION)
        option_problem(c->problems, c->path, &s->place, "streams[%u].attribute: only action streams have it", i);
    else if (s->kind == STREAM_TABLE)
        check_table(c, s, i);
    else if (s->key_fields && s->kind != STREAM_ACTION)
        option_problem(c->problems, c->path, &s->place, "streams[%u].key: only action streams and tables have it", i);
    else if (s->key_fields && !(s->key_fields & KEY_DOC))
        option_problem(c->problems, c->path, &s->place,
                       "streams[%u].key: got no doc; expected a list with doc such as [user, doc]", i);
    else if (s->before_ms && option_own_key(c->o, s))
        option_problem(c->problems, c->path, &s->place,
                       "streams[%u].before: an action with a key of its own never counts for an impression after it",
                       i);
    else if (s->attribute && !option_own_key(c->o, s))
        option_problem(
            c->problems, c->path, &s->place,
            "streams[%u].attribute: the stream has the join key, so an action has one impression; expected a "
            "key of its own such as [user, doc]",
            i);
}

static void check_streams(const struct checking *c)
{
    uint32_t impressions = 0, features = 0;
    for (uint32_t i = 0; i < c->o->streams; i++) {
        const struct stream_options *s = &c->o->stream[i];
        impressions += s->kind == STREAM_IMPRESSION;
        check_within(c, s, i);
        if (s->before_ms && s->kind != STREAM_ACTION)
            option_problem(c->problems, c->path, &s->place, "streams[%u].before: only action streams have it", i);
        check_key(c, s, i);
        if (s->payload_only && s->kind != STREAM_TABLE)
            option_problem(c->problems, c->path, &s->place, "streams[%u].payload_only: only tables have it", i);
        if (s->required && s->kind != STREAM_FEATURES)
            option_problem(c->problems, c->path, &s->place, "streams[%u].required: only feature streams have it", i);
        if (s->dimension && (s->required || s->kind != STREAM_FEATURES))
            option_problem(c->problems, c->path, &s->place,
                           "streams[%u].dimension: only feature streams that are not required have it", i);
        features += s->kind == STREAM_FEATURES;
    }
    if (features > JOINER_FEATURE_STREAMS_MAX)
        option_problem(c->problems, c->path, NULL, "streams: %u of kind features; expected at most %d", features,
                       JOINER_FEATURE_STREAMS_MAX);
    if (c->o->streams > 0 && impressions == 0)
        option_problem(c->problems, c->path, NULL, "streams: none of kind impression; expected at least one");
}

/* Empty names were told when the file was read. */
static void check_reference(const struct checking *c, const struct option_place *place, const char *key,
                            const char *what, const struct option_guess *guess)
{
    char hint[OPTION_HINT_SIZE];
    if (guess->wanted[0] && !(guess->best[0] && guess->distance == 0))
        option_problem(c->problems, c->path, place, "%s: got %s, which is no %s; %s", key, guess->wanted, what,
                       option_guess_hint(guess, hint));
}

static void check_labels(const struct checking *c)
{
    for (uint32_t i = 0; i < c->o->labels; i++) {
        const struct label_options *l = &c->o->label[i];
        struct option_guess guess = {.wanted = l->stream};
        char key[OPTION_KEY_SIZE];
        for (uint32_t s = 0; s < c->o->streams; s++)
            if (c->o->stream[s].kind == STREAM_ACTION)
                option_guess_offer(&guess, c->o->stream[s].name, strlen(c->o->stream[s].name));
        snprintf(key, sizeof key, "labels[%u].stream", i);
        check_reference(c, &l->place, key, "action stream", &guess);
    }
}

/* A version, and how messages name it. */
struct version_check {
    const struct checking *checking;
    const struct version_options *version;
    const char *prefix; /* "versions[3].", or "" for one that stands by itself */
};

static void version_problem(const struct version_check *v, const char *field, const char *text)
{
    option_problem(v->checking->problems, v->checking->path, &v->version->place, "%s%s%s", v->prefix, field, text);
}

static void check_model(const struct version_check *c)
{
    struct tm_error err;
    if (c->version->model[0] && version_model_check(c->version, &err) != TM_OK) /* "prior[0]: 0 is not ..." */
        version_problem(c, "", err.message);
}

static void check_names_of(const struct version_check *c, const char *field, const char *name, const char *what,
                           const struct option_names *there)
{
    struct option_guess guess = {.wanted = name};
    char key[OPTION_KEY_SIZE];
    for (uint32_t i = 0; i < there->count; i++)
        option_guess_offer(&guess, there->name[i], strlen(there->name[i]));
    snprintf(key, sizeof key, "%s%s", c->prefix, field);
    check_reference(c->checking, &c->version->place, key, what, &guess);
}

static void check_samples_from(const struct version_check *c, const struct option_names *versions)
{
    const struct version_options *v = c->version;
    char text[OPTION_EXPECTED_SIZE];
    for (uint32_t s = 0; s < v->samples_from_count; s++) {
        check_names_of(c, "samples_from", v->samples_from[s], "version", versions);
        for (uint32_t before = 0; before < s; before++)
            if (strcmp(v->samples_from[before], v->samples_from[s]) == 0) {
                snprintf(text, sizeof text, ": got %s twice", v->samples_from[s]);
                version_problem(c, "samples_from", text);
            }
    }
}

/* The file is read again at the start: it may be another one then. */
static void check_encoder(const struct version_check *c)
{
    struct encoder *encoder = NULL;
    struct tm_error err;
    if (!c->version->encoder[0])
        return;
    if (encoders_read(c->version->encoder, &encoder, &err) != TM_OK)
        tm_error_wrap(&err, "encoder");
    else if (encoder_width(encoder) == c->version->dimension)
        err.message[0] = '\0';
    else
        tm_error_set(&err, TM_INVALID_ARGUMENT, "dimension: %u, but the encoder makes %u features; expected as many",
                     c->version->dimension, encoder_width(encoder));
    encoder_close(encoder);
    if (err.message[0])
        version_problem(c, "", err.message);
}

/* A file that is not there may not be needed any more: the start says so if it is. */
static void check_prior_from(const struct version_check *c)
{
    struct tm_error err;
    enum tm_code rc = prior_option_check(c->version, &err);
    if (rc != TM_OK && rc != TM_NOT_FOUND)
        version_problem(c, "", err.message);
}

static void check_version(const struct version_check *c, const struct options *o, const struct option_names *versions)
{
    struct tm_error err;
    check_model(c);
    check_encoder(c);
    check_prior_from(c);
    if (o->positive_at_once && c->version->order == ORDER_EVENT_TIME)
        version_problem(c, "order",
                        ": got event_time; expected arrival with join.positive_at_once, because what is "
                        "learned then depends on what has come by the time of the first positive");
    if (o->labels > 0 && option_reward_check(c->version, o, &err) != TM_OK)
        version_problem(c, "", err.message);
    check_samples_from(c, versions);
}

static void check_versions(const struct checking *c)
{
    const char *versions[OPTION_VERSIONS_MAX];
    char prefix[OPTION_KEY_SIZE];
    for (uint32_t i = 0; i < c->o->versions; i++)
        versions[i] = c->o->version[i].name;
    for (uint32_t i = 0; i < c->o->versions; i++) {
        snprintf(prefix, sizeof prefix, "versions[%u].", i);
        check_version(&(struct version_check){c, &c->o->version[i], prefix}, c->o,
                      &(struct option_names){versions, c->o->versions});
    }
}

void options_check_version(struct version_options *v, const struct options *o, const struct option_names *versions,
                           struct option_problems *problems)
{
    const struct checking c = {.problems = problems};
    option_derive_version(v, o->labels ? o->label[0].name : "");
    check_version(&(struct version_check){&c, v, ""}, o, versions);
}

static bool is_whole_position(double v) { return v >= INT32_MIN && v <= INT32_MAX && v == (double)(int32_t)v; }

/* What is wrong with the numbers of a rule; NULL: nothing. */
static const char *wrong_numbers(const struct filter_options *f)
{
    bool no_min = f->min <= -1e300, no_max = f->max >= 1e300;
    if (f->min > f->max)
        return "min: got more than max";
    if (f->action != FILTER_IS_DEFAULT && no_min && no_max)
        return "min: missing, as max is; expected one of them";
    if (f->action == FILTER_IS_DROP)
        return NULL;
    if (f->field != FIELD_VALUE && f->field != FIELD_WEIGHT && f->field != FIELD_POSITION)
        return "do: only value, weight and position can be changed; expected drop";
    bool sets = f->action == FILTER_IS_DEFAULT;
    if (f->field == FIELD_WEIGHT && ((sets ? f->to : f->max) < 0 || (sets ? f->to : f->min) > FEATURES_WEIGHT_MAX))
        return sets ? "to: a weight is 0 to 1000000" : "min: a weight is 0 to 1000000";
    if (f->field == FIELD_POSITION &&
        !(sets ? is_whole_position(f->to)
               : (no_min || is_whole_position(f->min)) && (no_max || is_whole_position(f->max))))
        return "to: a position is a whole number";
    return NULL;
}

static void check_filters(const struct checking *c)
{
    for (uint32_t i = 0; i < c->o->filters; i++) {
        const struct filter_options *f = &c->o->filter[i];
        struct option_guess guess = {.wanted = f->stream};
        const char *wrong = wrong_numbers(f);
        char key[OPTION_KEY_SIZE];
        for (uint32_t s = 0; s < c->o->streams; s++)
            if (c->o->stream[s].kind != STREAM_TABLE)
                option_guess_offer(&guess, c->o->stream[s].name, strlen(c->o->stream[s].name));
        snprintf(key, sizeof key, "filters[%u].stream", i);
        check_reference(c, &f->place, key, "stream", &guess);
        if (wrong)
            option_problem(c->problems, c->path, &f->place, "filters[%u].%s", i, wrong);
    }
}

static void check_label_name(const struct checking *c, const struct sample_filter_options *f, uint32_t i,
                             const char *field, const char *label)
{
    struct option_guess guess = {.wanted = label};
    char key[OPTION_KEY_SIZE];
    for (uint32_t k = 0; k < c->o->labels; k++)
        option_guess_offer(&guess, c->o->label[k].name, strlen(c->o->label[k].name));
    snprintf(key, sizeof key, "sample_filters[%u].%s", i, field);
    check_reference(c, &f->place, key, "label", &guess);
}

static void check_sample_filters(const struct checking *c)
{
    for (uint32_t i = 0; i < c->o->sample_filters; i++) {
        const struct sample_filter_options *f = &c->o->sample_filter[i];
        const char *wrong = f->min > f->max                         ? "min: got more than max"
                            : f->min <= -1e300 && f->max >= 1e300   ? "min: missing, as max is; expected one of them"
                            : f->action == VERDICT_DROP && *f->zero ? "zero: only a filter with do: zero has it"
                                                                    : NULL;
        check_label_name(c, f, i, "label", f->label);
        check_label_name(c, f, i, "zero", f->zero);
        if (wrong)
            option_problem(c->problems, c->path, &f->place, "sample_filters[%u].%s", i, wrong);
    }
}

static void check_sampling(const struct checking *c)
{
    for (uint32_t i = 0; i < c->o->sampling; i++) {
        const struct sampling_options *r = &c->o->rule[i];
        if (r->from_position > r->to_position)
            option_problem(c->problems, c->path, &r->place,
                           "sampling[%u].from_position: got %u; expected at most to_position, %u", i, r->from_position,
                           r->to_position);
    }
}

void options_check(const struct options *o, const char *path, struct option_problems *problems)
{
    struct checking c = {o, path, problems};
    check_scalars(&c);
    for (size_t i = 0; i < OPTION_LISTS; i++)
        check_names(&c, &option_lists[i]);
    check_streams(&c);
    check_labels(&c);
    check_versions(&c);
    check_filters(&c);
    check_sample_filters(&c);
    check_sampling(&c);
}

/* What cannot hold a hundred impressions of usual size refuses or sheds nearly all of them. */
static void warn_room(const struct options *o, const char *path, struct option_problems *warnings)
{
    enum { BODY = 128, FEW = 100 };
    uint64_t room = o->memory_join / o->shards / joiner_waiting_bytes(JOINER_IMPRESSION, BODY);
    if (room < FEW)
        option_problem(warnings, path, NULL,
                       "warning: memory.join: each of %u shards has room for about %u impressions that wait for their "
                       "decision; most will be refused or shed",
                       o->shards, (uint32_t)room);
}

bool options_ahead(bool at_once, int64_t window_ms) { return at_once && window_ms > 0; }

/* Figures: docs/joining.md. */
static void warn_at_once(const struct options *o, const char *path, struct option_problems *warnings)
{
    char window[UNITS_TEXT_SIZE];
    if (options_ahead(o->positive_at_once, o->window_ms))
        option_problem(
            warnings, path, NULL,
            "warning: join.positive_at_once: positives are learned up to %s before the negatives of their "
            "time, so what is served is too high: about 1.8 times a rate of 5 %% for a document twice as old "
            "as that, 1.16 times for one six times as old; a shorter join.window does without",
            duration_text(o->window_ms, window));
}

static void warn_prior_files(const struct options *o, const char *path, struct option_problems *warnings)
{
    struct tm_error err;
    for (uint32_t i = 0; i < o->versions; i++)
        if (prior_option_check(&o->version[i], &err) == TM_NOT_FOUND)
            option_problem(warnings, path, &o->version[i].place,
                           "warning: versions[%u].%s; only a version that is there already can do without it", i,
                           err.message);
}

void options_warn(const struct options *o, const char *path, struct option_problems *warnings)
{
    warn_room(o, path, warnings);
    warn_at_once(o, path, warnings);
    char text[OPTION_WARNING_SIZE];
    warn_prior_files(o, path, warnings);
    for (uint32_t i = 0; i < o->versions; i++)
        if (option_reward_warning(&o->version[i], o, text))
            option_problem(warnings, path, &o->version[i].place, "warning: versions[%u].%s", i, text);
}
