/* Features that come after their sample was decided: where they are kept, and what becomes of them for a version. */
#include "ps/state/shard_state.h"

void shard_mend_features(struct shard *s, struct sample *sample)
{
    CLEANUP(buffer_close) struct buffer mended = {0};
    const struct sample_features *came = &sample->features[0];
    struct event e;
    if (sample->place.row == 0 || !shard_features(s, sample))
        return;
    shard_read_event(came->body, came->shared, &e);
    if (feature_repack(&mended, buffer_view(&s->hand.packed), came->stream, &e) &&
        !shard_keep_features(s, sample, buffer_view(&mended)))
        sample->place = (struct sample_place){0};
}

/* The new features first: most that come fit. */
void shard_tell_unfit(struct shard *s, const struct version_slot *slot, const struct sample *correction)
{
    struct sample before = *correction;
    before.place = correction->old_place;
    enum joiner_reason reason = sample_moved(correction) ? shard_refusal(s, slot, correction) : REASON_NONE;
    if (reason != REASON_NONE && shard_refusal(s, slot, &before) == REASON_NONE)
        shard_write_letter(s, correction, reason);
}

/* A copy: only one sample's features are at hand. */
static const float *old_x(struct shard *s, const struct version_slot *slot, const struct sample *before)
{
    uint32_t n = slot->version->config.dimension;
    s->old_x = mem_grow(s->old_x, FEATURES_MAX, sizeof *s->old_x);
    memcpy(s->old_x, shard_x(s, slot, before), n * sizeof *s->old_x);
    return s->old_x;
}

struct sample_fit shard_fit(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    struct sample_fit fit = {.was = true, .is = true};
    struct sample before = *sample;
    if (!model_uses_features(slot->version->model))
        return fit;
    bool moved = sample_moved(sample);
    before.place = sample->old_place;
    fit.was = !moved || shard_refusal(s, slot, &before) == REASON_NONE;
    if (moved && fit.was)
        fit.x_was = old_x(s, slot, &before);
    fit.refused = shard_refusal(s, slot, sample);
    fit.is = fit.refused == REASON_NONE;
    fit.x_is = fit.is ? shard_x(s, slot, sample) : fit.x_was;
    if (!moved) {
        fit.was = fit.is;
        fit.x_was = fit.x_is;
    }
    if (!fit.was)
        fit.x_was = fit.x_is;
    return fit;
}
