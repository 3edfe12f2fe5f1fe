#include "ps/server/validation_message.h"

#include <math.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/fill.h"
#include "tidemill/v1/versions.pb-c.h"

struct validation_message {
    Tidemill__V1__Validation message;
    Tidemill__V1__ValidationBin bin[VALIDATION_BINS], *bins[VALIDATION_BINS];
};

/* What there is nothing to divide by is absent. */
#define FILL_NUMBER(m, field, number)          \
    do {                                       \
        (m)->field = (number);                 \
        (m)->has_##field = !isnan((m)->field); \
    } while (0)

static void fill_bins(const struct validation_report *r, struct validation_message *out)
{
    out->message.bins = out->bins;
    for (int i = 0; i < VALIDATION_BINS; i++) {
        const struct reliability *from = &r->bin[i];
        Tidemill__V1__ValidationBin *b = &out->bin[i];
        if (!(from->weight > 0))
            continue;
        tidemill__v1__validation_bin__init(b);
        FILL(b, from, from->from);
        FILL(b, to, from->to);
        FILL(b, weight, from->weight);
        FILL_NUMBER(b, predicted, from->predicted);
        FILL_NUMBER(b, observed, from->observed);
        out->bins[out->message.n_bins++] = b;
    }
}

static void fill_errors(const struct error_report *r, Tidemill__V1__Validation *m)
{
    FILL_NUMBER(m, mean_squared_error, r->squared);
    FILL_NUMBER(m, mean_absolute_error, r->absolute);
    FILL_NUMBER(m, explained_variance, r->explained);
    FILL_NUMBER(m, log_density, r->density);
    FILL_NUMBER(m, interval_coverage, r->coverage);
}

static void fill_report(const struct validation_report *r, bool real, struct validation_message *out)
{
    Tidemill__V1__Validation *m = &out->message;
    FILL(m, samples, r->samples);
    FILL(m, weight, r->weight);
    FILL_NUMBER(m, base_rate, r->base_rate);
    FILL(m, late, r->late);
    FILL(m, gone, r->gone);
    if (real) {
        fill_errors(&r->errors, m);
        return;
    }
    FILL(m, positives, r->positives);
    FILL_NUMBER(m, log_loss, r->log_loss);
    FILL_NUMBER(m, normalised_entropy, r->normalised_entropy);
    FILL_NUMBER(m, auc, r->auc);
    FILL_NUMBER(m, auc_error, r->auc_error);
    FILL_NUMBER(m, grouped_auc, r->requests.by_samples);
    FILL(m, grouped_requests, r->requests.requests);
    FILL_NUMBER(m, requests_share, r->requests_share);
    FILL_NUMBER(m, calibration, r->calibration);
    FILL_NUMBER(m, calibration_error, r->calibration_error);
    FILL(m, trials, r->trials);
    FILL_NUMBER(m, coverage, r->coverage);
    FILL_NUMBER(m, dispersion, r->dispersion);
    fill_bins(r, out);
}

static void put_one(const struct engine_validation *v, bool real, int kind, int window, uint32_t field,
                    struct buffer *out)
{
    static const char *const kinds[] = {[VALIDATION_SERVED] = "served", [VALIDATION_PREQUENTIAL] = "prequential"};
    CLEANUP(buffer_close) struct buffer one = {0};
    struct validation_message m;
    const struct validation_span *span = &validation_spans[window];
    tidemill__v1__validation__init(&m.message);
    m.message.kind = fill_text(kinds[kind]);
    FILL(&m.message, window_ms, span->length * span->panes);
    FILL(&m.message, as_of, v->as_of);
    fill_report(&v->kind[kind].window[window], real, &m);
    wire_pack(&m.message.base, &one);
    wire_put_bytes(out, field, buffer_view(&one));
}

enum tm_code validation_message_put(struct engine *e, const struct version *v, uint32_t field, struct buffer *out,
                                    struct tm_error *err)
{
    struct engine_validation *read = mem_new(1, sizeof *read);
    enum tm_code rc = engine_validation(e, v, read, err);
    for (int k = VALIDATION_KINDS - 1; rc == TM_OK && k >= 0; k--)
        for (int w = 0; read->kind[k].there && w < VALIDATION_WINDOWS; w++)
            put_one(read, v->model->predict != NULL, k, w, field, out);
    free(read);
    return rc;
}
