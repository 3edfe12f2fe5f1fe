#include "ps/server/sample_request.h"

#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/door.h"
#include "ps/server/samples.h"
#include "tidemill/v1/samples.pb-c.h"

enum { REQUEST_MAX = 1 << 20 };

void sample_request_close(struct sample_request *r)
{
    struct sample_filter *f = &r->query.filter;
    free(f->version);
    free(f->docs.text);
    free(f->users.text);
    free(f->requests.text);
    wire_free(r->message);
    *r = (struct sample_request){0};
}

static enum tm_code read_texts(const char *field, char **text, size_t count, struct text_list *out,
                               struct tm_error *err)
{
    if (count > SAMPLES_TEXTS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "filter.%s: %zu of them; expected at most %d", field, count,
                            SAMPLES_TEXTS_MAX);
    out->text = mem_new(count ? count : 1, sizeof *out->text);
    for (size_t i = 0; i < count; i++)
        out->text[out->count++] = bytes_text(text[i]);
    return TM_OK;
}

static enum tm_code read_versions(struct engine *e, const Tidemill__V1__SampleFilter *m, struct sample_filter *out,
                                  struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    if (m->n_versions > SAMPLES_TEXTS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "filter.versions: %zu of them; expected at most %d",
                            m->n_versions, SAMPLES_TEXTS_MAX);
    out->version = mem_new(m->n_versions + 1, sizeof(const struct version *));
    for (size_t i = 0; rc == TM_OK && i < m->n_versions; i++)
        rc = door_version(e, bytes_text(m->versions[i]), &out->version[out->versions++], err);
    return rc;
}

static enum tm_code read_filter(struct engine *e, const Tidemill__V1__SampleFilter *m, struct sample_filter *out,
                                struct tm_error *err)
{
    *out = (struct sample_filter){.since = INT64_MIN, .until = INT64_MAX, .until_position = UINT64_MAX};
    if (!m)
        return TM_OK;
    if (m->has_decided_since)
        out->since = m->decided_since;
    if (m->has_decided_until)
        out->until = m->decided_until;
    if (m->has_corrections)
        out->kinds = m->corrections ? SAMPLES_CORRECTIONS : SAMPLES_NEW;
    if (out->since >= out->until)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "filter.decided_until: %lld; expected a time behind decided_since, %lld",
                            (long long)out->until, (long long)out->since);
    enum tm_code rc = read_versions(e, m, out, err);
    if (rc == TM_OK)
        rc = read_texts("docs", m->docs, m->n_docs, &out->docs, err);
    if (rc == TM_OK)
        rc = read_texts("users", m->users, m->n_users, &out->users, err);
    if (rc == TM_OK)
        rc = read_texts("requests", m->requests, m->n_requests, &out->requests, err);
    return rc;
}

static enum tm_code finish(enum tm_code rc, struct sample_request *r)
{
    if (rc != TM_OK)
        sample_request_close(r);
    return rc;
}

enum tm_code sample_request_tail(struct engine *e, struct bytes wire, struct sample_request *out, struct tm_error *err)
{
    *out = (struct sample_request){0};
    out->message = wire_unpack(&tidemill__v1__tail_samples_request__descriptor, wire, REQUEST_MAX, err);
    if (!out->message)
        return err->code;
    const Tidemill__V1__TailSamplesRequest *m = (const void *)out->message;
    out->features = m->features;
    out->query.follow = m->follow;
    out->query.newest = m->has_last ? m->last : SAMPLES_LAST;
    if (out->query.newest > SAMPLES_LAST_MAX)
        return finish(
            tm_error_set(err, TM_INVALID_ARGUMENT, "last: %u; expected 0 to %d", out->query.newest, SAMPLES_LAST_MAX),
            out);
    return finish(read_filter(e, m->filter, &out->query.filter, err), out);
}

enum tm_code sample_request_export(struct engine *e, struct bytes wire, struct sample_request *out,
                                   struct tm_error *err)
{
    *out = (struct sample_request){0};
    out->message = wire_unpack(&tidemill__v1__export_samples_request__descriptor, wire, REQUEST_MAX, err);
    if (!out->message)
        return err->code;
    const Tidemill__V1__ExportSamplesRequest *m = (const void *)out->message;
    out->features = m->features;
    out->query.newest = SAMPLES_NEWEST_ALL;
    enum tm_code rc = read_filter(e, m->filter, &out->query.filter, err);
    if (rc == TM_OK && m->has_until_position)
        out->query.filter.until_position = m->until_position;
    return finish(rc, out);
}
