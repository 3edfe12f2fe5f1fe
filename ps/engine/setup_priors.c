/* The option prior_from: a version that is made gets its values, one that is there must have been made with them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "proto/prior_file.h"
#include "ps/engine/parts.h"
#include "ps/engine/prior_option.h"
#include "ps/state/weight_prior.h"

static enum tm_code refuse_other(const struct version *old, const char *what, struct tm_error *err)
{
    return tm_error_set(err, TM_FAILED_PRECONDITION,
                        "%s, but version %s was made with %s%s; a prior is set when a version is made: put the old "
                        "value back, or give the new one a version of its own",
                        what, old->name, old->weight_prior ? "that of " : "prior_mean and prior_sd alone",
                        old->prior_source);
}

static void adopt(struct version *v, const struct version *old)
{
    weight_prior_set(v, old->weight_prior, old->weight_prior_values, old->prior_source);
}

/* "1234 documents of A": as new_prior.c words it. */
static bool is_of(const struct version *old, const char *name)
{
    char ending[CATALOG_NAME_MAX + 16];
    size_t size = strlen(old->prior_source);
    size_t wanted = (size_t)snprintf(ending, sizeof ending, " documents of %s", name);
    return old->weight_prior && size >= wanted && strcmp(old->prior_source + size - wanted, ending) == 0;
}

static enum tm_code set_from_version(struct engine *e, const char *name, const struct version *old,
                                     struct engine_prior prior, struct version *v, struct tm_error *err)
{
    prior.from = catalog_find(&e->catalog, bytes_text(name));
    if (old && !is_of(old, name))
        return refuse_other(old, "got a version's name", err);
    if (old) {
        adopt(v, old);
        return TM_OK;
    }
    if (!prior.from)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "there is no version %s yet that has learned something; start with it alone, and add the "
                            "version that begins with what it has learned later",
                            name);
    return prior_of_new_version(e, &prior, v, err);
}

static enum tm_code compare_values(const struct version *old, const double *values, size_t count, struct tm_error *err)
{
    if (old->weight_prior_values == count && memcmp(old->weight_prior, values, count * sizeof *values) == 0)
        return TM_OK;
    return refuse_other(old, "the file has other values", err);
}

static enum tm_code set_from_file(struct engine *e, const char *path, const struct version *old,
                                  struct engine_prior prior, struct version *v, struct tm_error *err)
{
    double *values;
    size_t count;
    char source[sizeof v->prior_source];
    const char *slash = strrchr(path, '/');
    enum tm_code rc = prior_file_read(path, &values, &count, err);
    if (rc == TM_NOT_FOUND && old && old->weight_prior) {
        log_line("info", "prior_file_gone", "version=%s it goes on with the prior it was made with", old->name);
        adopt(v, old);
        return TM_OK;
    }
    if (rc != TM_OK)
        return rc;
    snprintf(source, sizeof source, "file %.*s", (int)sizeof source - 8, slash ? slash + 1 : path);
    if (old && (rc = compare_values(old, values, count, err)) == TM_OK)
        adopt(v, old);
    prior.values = values;
    prior.count = count;
    prior.source = source;
    if (!old)
        rc = prior_of_new_version(e, &prior, v, err);
    free(values);
    return rc;
}

enum tm_code setup_priors(struct engine *e, struct catalog *wanted, struct tm_error *err)
{
    uint32_t made = 0; /* values of those that are made at this start */
    for (uint32_t i = 0; i < wanted->versions; i++) {
        struct version *v = wanted->version[i];
        const char *from = e->configured->version[i].prior_from;
        const struct version *old = catalog_find(&e->catalog, bytes_text(v->name));
        if (!from[0])
            continue;
        const char *encoder = v->encoded ? wanted->encoder[i].text : NULL;
        const struct engine_prior prior = {.others = made, .encoder = encoder};
        enum tm_code rc = prior_option_is_file(from) ? set_from_file(e, from, old, prior, v, err)
                                                     : set_from_version(e, from, old, prior, v, err);
        if (rc != TM_OK) {
            tm_error_wrap(err, "prior_from: %.200s", from);
            return tm_error_wrap(err, "version %s", v->name);
        }
        made += old ? 0 : v->weight_prior_values;
    }
    return TM_OK;
}
