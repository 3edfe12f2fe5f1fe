#include "ps/state/catalog_rules.h"

static void describe_sampling(const struct sampling_rule *rule, Tidemill__V1__SamplingRule *out)
{
    tidemill__v1__sampling_rule__init(out);
    out->has_keep = out->has_unit = out->has_first = out->has_last = true;
    out->keep = rule->keep;
    out->unit = rule->unit;
    out->first = rule->first;
    out->last = rule->last;
}

static void describe_field(const struct filter *rule, Tidemill__V1__FieldRule *out)
{
    tidemill__v1__field_rule__init(out);
    out->has_streams = out->has_field = out->has_action = out->has_least = out->has_most = out->has_to = true;
    out->streams = rule->streams;
    out->field = rule->field;
    out->action = rule->action;
    out->least = rule->least;
    out->most = rule->most;
    out->to = rule->to;
}

void rules_describe(const struct joiner_rules *rules, struct rules_parts *out)
{
    tidemill__v1__rules_spec__init(&out->spec);
    out->spec.n_sampling = rules->sampling.rules;
    out->spec.sampling = out->rules;
    out->spec.n_fields = rules->filters.count;
    out->spec.fields = out->fields;
    for (uint32_t i = 0; i < rules->sampling.rules; i++)
        describe_sampling(&rules->sampling.rule[i], out->rules[i] = &out->rule[i]);
    for (uint32_t i = 0; i < rules->filters.count; i++)
        describe_field(&rules->filters.filter[i], out->fields[i] = &out->field[i]);
}

static enum tm_code read_sampling(const Tidemill__V1__SamplingRule *spec, struct sampling_rule *out,
                                  struct tm_error *err)
{
    *out = (struct sampling_rule){spec->keep, spec->unit, spec->first, spec->last};
    if (!(out->keep > 0 && out->keep <= 1) || out->unit > SAMPLING_USER || out->first > out->last)
        return tm_error_set(err, TM_DATA_LOSS, "a rule of sampling with keep %g, unit %u and places %d to %d",
                            (double)out->keep, out->unit, out->first, out->last);
    return TM_OK;
}

static enum tm_code read_field(const Tidemill__V1__FieldRule *spec, struct filter *out, struct tm_error *err)
{
    *out = (struct filter){.streams = spec->streams,
                           .field = spec->field,
                           .action = spec->action,
                           .least = spec->least,
                           .most = spec->most,
                           .to = spec->to};
    if (out->field >= FILTER_FIELD_COUNT || out->action > FILTER_DEFAULT || !(out->least <= out->most) ||
        out->to != out->to)
        return tm_error_set(err, TM_DATA_LOSS, "a rule of field %u, action %u, from %g to %g", out->field, out->action,
                            out->least, out->most);
    return TM_OK;
}

void label_filters_describe(const struct label_filters *filters, struct label_filter_parts *parts,
                            Tidemill__V1__JoinSpec *out)
{
    out->n_sample_filters = filters->count;
    out->sample_filters = parts->list;
    for (uint32_t i = 0; i < filters->count; i++) {
        const struct label_filter *f = &filters->filter[i];
        Tidemill__V1__SampleFilterSpec *spec = parts->list[i] = &parts->spec[i];
        tidemill__v1__sample_filter_spec__init(spec);
        spec->has_label = spec->has_look = spec->has_least = spec->has_most = spec->has_drop = spec->has_zeroes = true;
        spec->label = f->label;
        spec->look = f->look;
        spec->least = f->least;
        spec->most = f->most;
        spec->drop = f->drop;
        spec->zeroes = f->zeroes;
    }
}

enum tm_code label_filters_read(const Tidemill__V1__JoinSpec *join, struct label_filters *out, struct tm_error *err)
{
    if (join->n_sample_filters > LABEL_FILTERS_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "%zu filters of samples; expected at most %d", join->n_sample_filters,
                            LABEL_FILTERS_MAX);
    out->count = (uint32_t)join->n_sample_filters;
    for (uint32_t i = 0; i < out->count; i++) {
        const Tidemill__V1__SampleFilterSpec *spec = join->sample_filters[i];
        out->filter[i] = (struct label_filter){.label = spec->label,
                                               .look = spec->look,
                                               .least = spec->least,
                                               .most = spec->most,
                                               .drop = spec->drop,
                                               .zeroes = spec->zeroes};
        if (spec->label >= join->n_labels || spec->look > LOOK_AT_DELAY || !(spec->least <= spec->most) ||
            spec->zeroes >> join->n_labels)
            return tm_error_set(err, TM_DATA_LOSS, "a filter of label %u, look %u, from %g to %g", spec->label,
                                spec->look, spec->least, spec->most);
    }
    return TM_OK;
}

enum tm_code rules_read(const Tidemill__V1__RulesSpec *spec, struct joiner_rules *out, struct tm_error *err)
{
    struct joiner_rules rules = {.sampling.rules = (uint32_t)spec->n_sampling,
                                 .filters.count = (uint32_t)spec->n_fields};
    enum tm_code rc = TM_OK;
    if (spec->n_sampling > SAMPLING_RULES_MAX || spec->n_fields > FILTERS_MAX)
        return tm_error_set(err, TM_DATA_LOSS, "%zu rules of sampling and %zu of fields; expected at most %d and %d",
                            spec->n_sampling, spec->n_fields, SAMPLING_RULES_MAX, FILTERS_MAX);
    for (uint32_t i = 0; rc == TM_OK && i < rules.sampling.rules; i++)
        rc = read_sampling(spec->sampling[i], &rules.sampling.rule[i], err);
    for (uint32_t i = 0; rc == TM_OK && i < rules.filters.count; i++)
        rc = read_field(spec->fields[i], &rules.filters.filter[i], err);
    if (rc == TM_OK)
        *out = rules;
    return rc;
}
