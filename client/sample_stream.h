/* client/sample_stream.h - samples as a server streams them: batches of columns, handed on one sample at a time.
 *
 * Memory   a sample's texts live during the call that hands it over.
 * Errors   a batch whose columns do not fit each other is TM_IO: nothing of it is handed on.
 * Threads  one. */
#ifndef TIDEMILL_CLIENT_SAMPLE_STREAM_H
#define TIDEMILL_CLIENT_SAMPLE_STREAM_H

#include "base/error.h"
#include "client/commands.h"

/* What only the first batch tells, and later ones may extend. Texts are owned by the stream. */
struct sample_names {
    char *generation;
    char **label, **version;
    size_t labels, versions;
};

struct sample_view {
    const struct sample_names *names;
    uint32_t shard;
    uint64_t sequence, position;
    uint64_t corrects; /* 0: it is a new sample */
    const char *id, *version, *request, *doc, *user, *representation;
    int64_t impression_time, decision_time;
    const double *label, *old_label; /* names->labels of each */
    double reward, old_reward, weight, keep;
    float score, propensity; /* NaN: not told */
    int32_t rank;            /* -1: not told */
    uint32_t encoding;
    struct bytes features, payload;
    struct bytes tables;  /* a packed TableRows */
    struct bytes records; /* a packed FeatureRecords */
};

struct sample_sink {
    /* The names are there, before the first sample and also when there is none. NULL: does not care. */
    enum tm_code (*begin)(void *self, const struct sample_names *names, struct tm_error *err);
    enum tm_code (*sample)(void *self, const struct sample_view *s, struct tm_error *err);
    /* Behind each batch: samples lost before it, bytes read and to read. NULL: does not care. */
    enum tm_code (*batch)(void *self, uint64_t lost, uint64_t done, uint64_t total, struct tm_error *err);
    void *self;
};

/* One call of TailSamples or ExportSamples until it ends. */
enum tm_code sample_stream(const struct settings *s, const char *method, const ProtobufCMessage *request,
                           const struct sample_sink *sink, struct tm_error *err);

#endif
