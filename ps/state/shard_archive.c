/* What a shard keeps of a sample for people and their tools. */
#include "proto/event.h"
#include "proto/wire.h"
#include "ps/state/shard_state.h"

/* An event that holds the ids of another one, and nothing else. */
static void put_ids(struct bytes body, struct bytes shared, bool only_doc, struct buffer *out)
{
    struct event e;
    shard_read_event(body, shared, &e);
    struct event ids = {.doc = e.doc};
    if (!only_doc) {
        ids.request = e.request;
        ids.user = e.user;
    }
    out->size = 0;
    event_encode(&ids, out);
}

static struct event features_alone(const struct event *e)
{
    return (struct event){.representation = e->representation,
                          .features = e->features,
                          .encoding = e->encoding,
                          .items = e->items,
                          .item_features = e->item_features,
                          .item_encoding = e->item_encoding,
                          .has = e->has & (EVENT_HAS_FEATURES | EVENT_HAS_ITEM_FEATURES)};
}

/* The ids, and the features that came. */
static struct bytes features_of_correction(struct shard *s, const struct sample *sample)
{
    struct event e;
    shard_read_event(sample->body, sample->shared, &e);
    struct event kept = features_alone(&e);
    kept.doc = e.doc;
    kept.request = e.request;
    kept.user = e.user;
    s->newest_ids.size = 0;
    event_encode(&kept, &s->newest_ids);
    return buffer_view(&s->newest_ids);
}

/* A correction has no event of its own. It is made while the event is joined that causes it, an action or the
 * impression that the action waited for; or, as time passes, right behind the sample that it corrects. One that was
 * made elsewhere shares the document with that event; the other ids are those of the original. */
static struct bytes ids_of_correction(struct shard *s, const struct sample *sample)
{
    if (s->at_hand)
        put_ids(s->at_hand->wire, s->at_hand->shared, sample->elsewhere, &s->newest_ids);
    return buffer_view(&s->newest_ids);
}

/* What it is about is told by the sample; the rest is as it came. */
static void put_record(struct shard *s, const struct sample_features *brought)
{
    enum { RECORD = 1 }; /* of FeatureRecords */
    struct event e;
    shard_read_event(brought->body, brought->shared, &e);
    struct event kept = features_alone(&e);
    kept.stream = bytes_text(s->catalog.stream_name[brought->stream]);
    kept.payload = e.payload;
    kept.time = e.time;
    kept.has |= e.has & EVENT_HAS_TIME;
    s->records.one.size = 0;
    event_encode(&kept, &s->records.one);
    wire_put_bytes(&s->records.all, RECORD, buffer_view(&s->records.one));
}

static struct bytes records_of(struct shard *s, const struct sample *sample)
{
    s->records.all.size = 0;
    for (uint32_t i = 0; i < sample->feature_count; i++)
        put_record(s, &sample->features[i]);
    return s->records.all.size <= EVENT_SIZE_MAX ? buffer_view(&s->records.all) : (struct bytes){0};
}

void shard_archive(struct shard *s, const struct sample *sample)
{
    struct kept_sample kept;
    struct bytes event = sample->body, shared = sample->shared;
    if (!archive_keeps(&s->archive))
        return;
    if (sample_brings_features(sample))
        event = features_of_correction(s, sample);
    else if (sample->kind == SAMPLE_CORRECTION)
        event = ids_of_correction(s, sample);
    else if (sample->late || !s->at_hand)
        put_ids(sample->body, sample->shared, sample->elsewhere, &s->newest_ids);
    if (sample->late) /* its impression is not at hand any more: an event of its document tells the ids */
        event = buffer_view(&s->newest_ids);
    if (sample->late || sample->kind == SAMPLE_CORRECTION)
        shared = (struct bytes){0};
    kept_sample_of(sample, event, shared, &kept);
    if (s->tables.count && sample->kind == SAMPLE_NEW && !sample->late && s->tables.rows.size <= EVENT_SIZE_MAX)
        kept.tables = buffer_view(&s->tables.rows);
    kept.records = records_of(s, sample);
    archive_add(&s->archive, &kept);
}
