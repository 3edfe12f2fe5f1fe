#include "ps/server/sample_batch.h"

#include <math.h>

#include "proto/items.h"
#include "proto/wire.h"

/* Field numbers of SampleBatch by column. */
enum { GENERATION = 1, LABEL_NAMES = 2, VERSION_NAMES = 3 };
enum text_column { ID, REQUEST, DOC, USER, REPRESENTATION, FEATURES, PAYLOAD, TABLES, RECORDS };
static const uint32_t text_field[SAMPLE_BATCH_TEXTS] = {
    [ID] = 7,        [REQUEST] = 9,  [DOC] = 10,    [USER] = 11,   [REPRESENTATION] = 24,
    [FEATURES] = 25, [PAYLOAD] = 27, [TABLES] = 31, [RECORDS] = 32};

/* clang-format off */
enum packed_column { SHARD, SEQUENCE, POSITION, VERSION, IMPRESSION_TIME, DECISION_TIME, LABELS, REWARD, WEIGHT, KEEP,
                     CORRECTS, OLD_LABELS, OLD_REWARD, SCORE, PROPENSITY, RANK, ENCODING };
static const uint32_t packed_field[SAMPLE_BATCH_PACKED] = {
    [SHARD] = 4, [SEQUENCE] = 5, [POSITION] = 6, [VERSION] = 8, [IMPRESSION_TIME] = 12, [DECISION_TIME] = 13,
    [LABELS] = 14, [REWARD] = 15, [WEIGHT] = 16, [KEEP] = 17, [CORRECTS] = 18, [OLD_LABELS] = 19, [OLD_REWARD] = 20,
    [SCORE] = 21, [PROPENSITY] = 22, [RANK] = 23, [ENCODING] = 26};
/* clang-format on */

void sample_batch_open(struct sample_batch *b, struct engine *e, bool features)
{
    *b = (struct sample_batch){.engine = e, .features = features, .labels = engine_schema(e)->join.labels};
}

void sample_batch_close(struct sample_batch *b)
{
    for (int i = 0; i < SAMPLE_BATCH_TEXTS; i++)
        buffer_close(&b->text[i]);
    for (int i = 0; i < SAMPLE_BATCH_PACKED; i++)
        buffer_close(&b->packed[i]);
    buffer_close(&b->joined);
}

static void put_text(struct sample_batch *b, enum text_column column, struct bytes text)
{
    wire_put_bytes(&b->text[column], text_field[column], text);
}

static void put_float(struct buffer *out, bool there, float v)
{
    float told = there ? v : NAN;
    buffer_put(out, &told, sizeof told);
}

/* sint32 */
static void put_zigzag(struct buffer *out, int32_t v)
{
    wire_put_varint(out, ((uint32_t)v << 1) ^ (v < 0 ? UINT32_MAX : 0));
}

/* Versions stand in the order in which they were made. */
static uint32_t version_index(const struct sample_batch *b, const struct version *v)
{
    for (uint32_t i = 0, n = engine_versions(b->engine); v && i < n; i++)
        if (engine_version_at(b->engine, i) == v)
            return i;
    return UINT32_MAX;
}

static void put_labels(struct sample_batch *b, const struct kept_sample *s)
{
    for (uint32_t i = 0; i < b->labels; i++) {
        buffer_put_f64(&b->packed[LABELS], i < s->labels ? s->label[i] : 0);
        buffer_put_f64(&b->packed[OLD_LABELS], i < s->labels ? s->old_label[i] : 0);
    }
}

static void put_served(struct sample_batch *b, const struct event *e)
{
    uint32_t encoding;
    struct bytes features = items_features(e, &encoding, &b->joined);
    put_float(&b->packed[SCORE], e->has & EVENT_HAS_SCORE, e->score);
    put_float(&b->packed[PROPENSITY], e->has & EVENT_HAS_PROPENSITY, e->propensity);
    put_zigzag(&b->packed[RANK], e->has & EVENT_HAS_POSITION ? e->position : -1);
    put_text(b, REPRESENTATION, e->representation);
    put_text(b, FEATURES, b->features ? features : (struct bytes){0});
    put_text(b, PAYLOAD, b->features ? e->payload : (struct bytes){0});
    wire_put_varint(&b->packed[ENCODING], encoding);
}

void sample_batch_add(struct sample_batch *b, const struct engine_sample *shown)
{
    const struct kept_sample *s = shown->sample;
    wire_put_varint(&b->packed[SHARD], shown->shard);
    buffer_put_u64(&b->packed[SEQUENCE], s->sequence);
    buffer_put_u64(&b->packed[POSITION], s->position);
    put_text(b, ID, bytes_text(shown->id));
    wire_put_varint(&b->packed[VERSION], version_index(b, shown->version));
    put_text(b, REQUEST, s->event.request);
    put_text(b, DOC, s->event.doc);
    put_text(b, USER, s->event.user);
    buffer_put_i64(&b->packed[IMPRESSION_TIME], s->impression_time);
    buffer_put_i64(&b->packed[DECISION_TIME], s->decided_at);
    put_labels(b, s);
    buffer_put_f64(&b->packed[REWARD], shown->reward);
    buffer_put_f64(&b->packed[WEIGHT], s->weight);
    buffer_put_f64(&b->packed[KEEP], s->keep);
    buffer_put_u64(&b->packed[CORRECTS], s->original);
    buffer_put_f64(&b->packed[OLD_REWARD], shown->old_reward);
    put_served(b, &s->event);
    put_text(b, TABLES, b->features ? s->tables : (struct bytes){0});
    put_text(b, RECORDS, b->features ? s->records : (struct bytes){0});
    b->rows++;
}

static void put_head(struct sample_batch *b, bool first, struct buffer *out)
{
    const struct catalog *schema = engine_schema(b->engine);
    uint32_t versions = engine_versions(b->engine);
    if (first)
        wire_put_bytes(out, GENERATION, bytes_text(engine_generation(b->engine)));
    for (uint32_t i = 0; first && i < b->labels; i++)
        wire_put_bytes(out, LABEL_NAMES, bytes_text(schema->label_name[i]));
    for (uint32_t i = 0; versions > b->versions_told && i < versions; i++)
        wire_put_bytes(out, VERSION_NAMES, bytes_text(engine_version_at(b->engine, i)->name));
    b->versions_told = versions;
}

void sample_batch_pack(struct sample_batch *b, bool first, struct buffer *out)
{
    put_head(b, first, out);
    for (int i = 0; i < SAMPLE_BATCH_TEXTS; i++) {
        buffer_put(out, b->text[i].data, b->text[i].size);
        b->text[i].size = 0;
    }
    for (int i = 0; i < SAMPLE_BATCH_PACKED; i++) {
        if (b->packed[i].size)
            wire_put_bytes(out, packed_field[i], buffer_view(&b->packed[i]));
        b->packed[i].size = 0;
    }
    b->rows = 0;
}
