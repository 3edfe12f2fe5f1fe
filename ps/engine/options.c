#include "ps/engine/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "ps/engine/version_model.h"
#include "ps/state/catalog.h"

const struct option_row *option_scalar_find(const char *key)
{
    for (size_t i = 0; i < option_scalar_count; i++)
        if (strcmp(option_scalars[i].key, key) == 0)
            return &option_scalars[i];
    return NULL;
}

const struct option_list *option_list_find(const char *key)
{
    for (size_t i = 0; i < OPTION_LISTS; i++)
        if (strcmp(option_lists[i].key, key) == 0)
            return &option_lists[i];
    return NULL;
}

void option_derive_version(struct version_options *v, const char *first_label)
{
    version_model_derive(v);
    if (v->batch_samples == 0)
        v->batch_samples = v->batch_age_ms > 0 ? VERSION_BATCH_MAX : 1;
    if (v->reward[0] == '\0')
        snprintf(v->reward, sizeof v->reward, "%s", first_label);
    if (v->samples_from_count == 0) {
        memcpy(v->samples_from[0], v->name, sizeof v->name);
        v->samples_from_count = 1;
    }
}

void option_derive(struct options *o)
{
    for (uint32_t i = 0; i < o->streams; i++)
        if (!o->stream[i].within_given)
            o->stream[i].within_ms = o->stream[i].kind == STREAM_ACTION ? o->allowed_lateness_ms : 0;
    for (uint32_t i = 0; i < o->versions; i++)
        option_derive_version(&o->version[i], o->labels > 0 ? o->label[0].name : "");
}

void options_default(struct options *o)
{
    *o = (struct options){
        .stream = {{.name = "impressions", .kind = STREAM_IMPRESSION, .out_of_orderness_ms = 5000},
                   {.name = "clicks", .kind = STREAM_ACTION, .out_of_orderness_ms = 5000}},
        .streams = 2,
        .label = {{.name = "click", .stream = "clicks"}},
        .labels = 1,
    };
    for (size_t i = 0; i < option_scalar_count; i++)
        if (option_scalars[i].preset)
            CHECK(option_parse(&option_scalars[i], o, option_scalars[i].preset, NULL) == TM_OK);
    option_derive(o);
}

static void unknown_key(const char *key, const char *origin, struct option_problems *problems)
{
    struct option_guess guess = {.wanted = key};
    char shown[OPTION_SHOWN_SIZE], hint[OPTION_HINT_SIZE];
    for (size_t i = 0; i < option_scalar_count; i++)
        if (option_scalars[i].type != OPTION_UNAVAILABLE)
            option_guess_offer(&guess, option_scalars[i].key, strlen(option_scalars[i].key));
    option_problem(problems, origin, NULL, "%s: unknown key; %s", option_shown(key, shown),
                   option_guess_hint(&guess, hint));
}

void options_set(struct options *o, const char *key, const char *value, const char *origin,
                 struct option_problems *problems)
{
    struct tm_error err;
    const struct option_row *row = option_scalar_find(key);
    for (size_t i = 0; i < OPTION_LISTS; i++)
        if (strcmp(key, option_lists[i].key) == 0) {
            option_problem(problems, origin, NULL, "%s: can only be given in the configuration file", key);
            return;
        }
    if (!row)
        unknown_key(key, origin, problems);
    else if (option_parse(row, o, value, &err) == TM_OK)
        option_derive(o);
    else if (row->type == OPTION_UNAVAILABLE)
        option_problem(problems, origin, NULL, "%s", err.message);
    else
        option_problem(problems, origin, NULL, "%s: %s", key, err.message);
}

void options_set_version(struct version_options *v, const char *key, const char *value,
                         struct option_problems *problems)
{
    const struct option_list *list = option_list_find("versions");
    struct tm_error err;
    for (size_t i = 0; i < list->row_count; i++)
        if (strcmp(list->rows[i].key, key) == 0 && option_parse(&list->rows[i], v, value, &err) != TM_OK)
            option_problem(problems, NULL, NULL, "%s: %s", key, err.message);
}

/* "commit.interval" is TIDEMILL_COMMIT_INTERVAL. */
static void environment_name(const char *key, char name[static OPTION_KEY_SIZE])
{
    snprintf(name, OPTION_KEY_SIZE, "TIDEMILL_%s", key);
    for (char *p = name; *p; p++)
        *p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
}

void options_read_environment(struct options *o, struct option_problems *problems)
{
    for (size_t i = 0; i < option_scalar_count; i++) {
        char name[OPTION_KEY_SIZE];
        environment_name(option_scalars[i].key, name);
        const char *value = getenv(name);
        if (value)
            options_set(o, option_scalars[i].key, value, name, problems);
    }
}
