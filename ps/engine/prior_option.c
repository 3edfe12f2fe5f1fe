#include "ps/engine/prior_option.h"

#include <stdlib.h>

#include "proto/prior_file.h"
#include "ps/engine/option_table.h"
#include "ps/engine/version_model.h"
#include "ps/state/weight_prior.h"

bool prior_option_is_file(const char *prior_from)
{
    static const char ending[] = ".safetensors";
    size_t size = strlen(prior_from);
    return strchr(prior_from, '/') ||
           (size >= strlen(ending) && strcmp(prior_from + size - strlen(ending), ending) == 0);
}

/* Would the version's model begin with these values? */
static enum tm_code check_values(const struct version_options *options, const double *values, size_t count,
                                 struct tm_error *err)
{
    struct version v = {0};
    v.model = version_model(options, &v.config);
    if (!v.model)
        return TM_OK; /* told elsewhere */
    enum tm_code rc = weight_prior_fits(&v, count, err);
    if (rc == TM_OK) {
        weight_prior_set(&v, values, (uint32_t)count, "");
        rc = v.model->check(&v.config, err);
    }
    free(v.weight_prior);
    return rc;
}

static enum tm_code check_file(const struct version_options *v, struct tm_error *err)
{
    double *values;
    size_t count;
    enum tm_code rc = prior_file_read(v->prior_from, &values, &count, err);
    if (rc != TM_OK)
        return rc;
    rc = check_values(v, values, count, err);
    free(values);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "%s", v->prior_from);
}

static enum tm_code check_name(const struct version_options *v, struct tm_error *err)
{
    char shown[OPTION_SHOWN_SIZE];
    if (!option_name_valid(v->prior_from))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "got %s; expected the name of a version, or a file whose name ends in .safetensors",
                            option_shown(v->prior_from, shown));
    if (strcmp(v->prior_from, v->name) == 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "got the version itself; expected another one");
    return TM_OK;
}

enum tm_code prior_option_check(const struct version_options *v, struct tm_error *err)
{
    if (!v->prior_from[0])
        return TM_OK;
    enum tm_code rc = prior_option_is_file(v->prior_from) ? check_file(v, err) : check_name(v, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "prior_from");
}
