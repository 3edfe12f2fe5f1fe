/* The features of samples: from the events that brought them to the rows that keep them, and back to the learner. */
#include "ps/state/shard_state.h"

/* What a source has for the sample that is being taken. */
struct brought {
    const struct shard *shard;
    const struct sample *sample;
};

static bool find_brought(void *context, uint8_t stream, struct event *out)
{
    const struct brought *b = context;
    if (b->shard->catalog.join.stream[stream].kind == JOINER_TABLE) {
        struct bytes row = shard_found_row(b->shard, stream);
        if (row.size) /* it was read when it was stored */
            CHECK(event_scan(row, out, NULL) == TM_OK);
        return row.size > 0;
    }
    for (uint32_t i = 0; i < b->sample->feature_count; i++) {
        const struct sample_features *f = &b->sample->features[i];
        if (f->stream != stream)
            continue;
        shard_read_event(f->body, f->shared, out);
        return true;
    }
    return false;
}

static bool gather(const struct shard *s, const struct sample *sample, struct buffer *out)
{
    struct brought brought = {s, sample};
    struct event shown;
    shard_read_event(sample->body, sample->shared, &shown);
    out->size = 0;
    return version_input_gather(&s->sources, &(struct input_parts){sample->streams, &shown, find_brought, &brought},
                                out, NULL);
}

/* Of the features at hand. */
static enum joiner_reason judge(struct shard *s, const struct version_slot *slot, double weight)
{
    const struct feature_vector *vector = s->hand.there ? &s->hand.vector : NULL;
    return version_input_judge(slot->version, slot->encoder, vector, &s->encoding, buffer_view(&s->hand.packed),
                               weight);
}

static bool somebody_takes(struct shard *s, const struct sample *sample)
{
    for (uint32_t i = shard_first_route(s, sample->version); i < s->routes; i++) {
        if (s->route[i].source != sample->version)
            break;
        const struct version_slot *slot = &s->slot[s->route[i].slot];
        if (model_uses_features(slot->version->model) && judge(s, slot, shard_weight(sample)) == REASON_NONE)
            return true;
    }
    return false;
}

bool shard_keep_features(struct shard *s, struct sample *sample, struct bytes packed)
{
    if (packed.size > FEATURE_PACKED_MAX)
        return false;
    sample->place = feature_rows_append(&s->features, packed, sample->impression_time);
    sample->feature_bytes = (uint32_t)packed.size;
    sample->feature_reach = (uint32_t)(sample->place.row - s->features.first);
    return true;
}

/* What nobody takes need not be kept, as long as nothing can come to make it whole: the same samples without features
 * are refused, too. */
static void keep_what_is_at_hand(struct shard *s, struct sample *sample)
{
    if (s->hand.vector.open || somebody_takes(s, sample))
        shard_keep_features(s, sample, buffer_view(&s->hand.packed));
    s->hand.place = sample->place;
}

void shard_bring_features(struct shard *s, struct sample *sample)
{
    struct features_at_hand *hand = &s->hand;
    hand->sequence = sample->sequence;
    hand->place = (struct sample_place){0};
    hand->there = gather(s, sample, &hand->packed);
    encoding_forget(&s->encoding);
    if (!hand->there)
        return;
    CHECK(feature_vector_unpack(buffer_view(&hand->packed), &hand->vector));
    keep_what_is_at_hand(s, sample);
}

/* Where they lie since it was left out may be far behind: a new sample has a place of its own. */
void shard_bring_again(struct shard *s, struct sample *sample)
{
    bool there = shard_features(s, sample) != NULL;
    sample->place = (struct sample_place){0};
    s->hand.place = sample->place;
    if (there)
        keep_what_is_at_hand(s, sample);
}

const struct feature_vector *shard_features(struct shard *s, const struct sample *sample)
{
    struct features_at_hand *hand = &s->hand;
    struct bytes packed;
    if (hand->sequence == sample->sequence && sample_place_same(hand->place, sample->place))
        return hand->there ? &hand->vector : NULL;
    hand->sequence = sample->sequence;
    hand->place = sample->place;
    hand->there = false;
    encoding_forget(&s->encoding);
    if (sample->place.row == 0 || s->trouble.code != TM_OK)
        return NULL;
    if (feature_rows_read(&s->features, &s->options.store, sample->place, &packed, &s->trouble) != TM_OK)
        return NULL;
    hand->packed.size = 0; /* a copy: the rows may change while it is at hand */
    buffer_put(&hand->packed, packed.data, packed.size);
    hand->there = feature_vector_unpack(buffer_view(&hand->packed), &hand->vector);
    if (!hand->there)
        tm_error_set(&s->trouble, TM_DATA_LOSS, "the features at row %llu, offset %u are damaged",
                     (unsigned long long)sample->place.row, sample->place.offset);
    return hand->there ? &hand->vector : NULL;
}

enum joiner_reason shard_refusal(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    if (!model_uses_features(slot->version->model))
        return REASON_NONE;
    if (sample_moved(sample) && sample->place.row == 0) /* with what came they were more than can be kept */
        return REASON_FEATURE_RANGE;
    shard_features(s, sample); /* are at hand now, if there are any */
    return judge(s, slot, shard_weight(sample));
}

const float *shard_x(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    const struct feature_vector *v = shard_features(s, sample);
    return version_input_x(slot->encoder, v, &s->encoding, buffer_view(&s->hand.packed));
}

void shard_count_refusal(struct sample_counts *c, enum joiner_reason reason)
{
    c->skipped++;
    switch (reason) {
    case REASON_NO_FEATURES: c->skipped_no_features++; break;
    case REASON_WRONG_DIMENSION: c->skipped_dimension++; break;
    case REASON_FEATURE_RANGE: c->skipped_range++; break;
    default: CHECK(reason == REASON_WRONG_REPRESENTATION); c->skipped_representation++;
    }
}

void shard_write_letter(struct shard *s, const struct sample *sample, enum joiner_reason reason)
{
    struct event made_by;
    if (s->hand.letter == sample->event_position + 1)
        return;
    s->hand.letter = sample->event_position + 1;
    shard_read_event(sample->body, sample->shared, &made_by);
    shard_set_aside(s,
                    &(struct joiner_record){.position = sample->event_position,
                                            .time = made_by.time,
                                            .stream = sample->stream,
                                            .body = sample->body,
                                            .shared = sample->shared},
                    reason);
}

bool shard_refuse(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    enum joiner_reason reason = shard_refusal(s, slot, sample);
    if (reason == REASON_NONE)
        return false;
    shard_count_refusal(&slot->fresh, reason);
    shard_write_letter(s, sample, reason);
    return true;
}

uint64_t shard_features_held(const struct shard *s)
{
    uint64_t needed = UINT64_MAX;
    for (uint32_t i = 0; i < s->slots; i++) {
        const struct version_slot *slot = &s->slot[i];
        if (model_uses_features(slot->version->model) && slot_held(slot) && slot->features_from < needed)
            needed = slot->features_from;
    }
    return needed;
}
