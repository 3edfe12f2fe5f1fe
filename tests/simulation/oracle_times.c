/* How far the story has come: gates, horizons and expiry from the watermarks. Each is WATERMARK_NONE when any mark it needs
 * is unknown. */
#include "tests/simulation/oracle_state.h"

enum { MINUTE_MS = 60000 };

static int64_t at_most(int64_t least, int64_t watermark, int64_t behind)
{
    if (least == WATERMARK_NONE || watermark == WATERMARK_NONE)
        return WATERMARK_NONE;
    return watermark - behind < least ? watermark - behind : least;
}

static int64_t impressions_complete(const struct oracle *o)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < o->catalog.join.streams; i++)
        if (o->catalog.join.stream[i].kind == JOINER_IMPRESSION)
            least = at_most(least, o->watermark[i], 0);
    return least;
}

/* Of the impressions of an epoch: nothing that came later counts. */
int64_t oracle_gate_of(const struct oracle *o, uint32_t epoch)
{
    const struct oracle_epoch *e = &o->epoch[epoch];
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < e->streams; i++) {
        const struct joiner_stream *s = &o->catalog.join.stream[i];
        bool labelled = false;
        for (uint32_t label = 0; label < e->labels; label++)
            labelled = labelled || s->labels >> label & 1;
        if (s->kind == JOINER_ACTION && labelled)
            least = at_most(least, o->watermark[i], e->window_ms);
        if (s->kind == JOINER_IMPRESSION || (s->kind == JOINER_FEATURES && s->required))
            least = at_most(least, o->watermark[i], 0);
    }
    return least;
}

/* That of the epochs that something waits for, and of the one of now; it does not go back when one begins. */
int64_t oracle_shard_gate(const struct oracle *o, const struct oracle_shard *s)
{
    int64_t least = INT64_MAX;
    for (uint32_t epoch = 0; epoch < o->epochs; epoch++) {
        bool asked = epoch + 1 == o->epochs;
        for (uint32_t i = 0; i < s->records && !asked; i++)
            asked = is_undecided(o, &s->record[i]) && s->record[i].epoch == epoch;
        if (asked)
            least = at_most(least, oracle_gate_of(o, epoch), 0);
    }
    return least > s->least_gate ? least : s->least_gate;
}

static int64_t newest_gate(const struct oracle *o)
{
    int64_t most = WATERMARK_NONE;
    for (uint32_t i = 0; i < o->epochs; i++)
        most = oracle_gate_of(o, i) > most ? oracle_gate_of(o, i) : most;
    return most;
}

/* Nothing decided is behind it. */
int64_t oracle_front(const struct oracle *o, const struct oracle_shard *s)
{
    return s->ahead > newest_gate(o) ? s->ahead : newest_gate(o);
}

/* The gate; of an epoch before, while nothing is known about that of now and never was; not before the last one. */
int64_t oracle_decided_at(const struct oracle *o, struct oracle_shard *s)
{
    int64_t now = oracle_shard_gate(o, s) == WATERMARK_NONE ? newest_gate(o) : oracle_shard_gate(o, s);
    return s->told_at = now > s->told_at ? now : s->told_at;
}

int64_t oracle_horizon(const struct oracle *o, int64_t lateness)
{
    return at_most(INT64_MAX, impressions_complete(o), lateness);
}

int64_t oracle_lateness_horizon(const struct oracle *o)
{
    int64_t at = oracle_horizon(o, o->catalog.join.allowed_lateness_ms);
    return at > o->least_horizon ? at : o->least_horizon;
}

/* Nobody comes any more for an impression before it, or it was given up. */
int64_t oracle_expiry(const struct oracle *o, const struct oracle_shard *s)
{
    const struct joiner_config *c = &o->catalog.join;
    int64_t least = oracle_horizon(o, c->allowed_lateness_ms);
    for (uint32_t i = 0; i < c->streams; i++)
        if (c->stream[i].kind == JOINER_ACTION && c->stream[i].labels)
            least = at_most(least, o->watermark[i], c->stream[i].within_ms);
    least = least > s->least_expiry ? least : s->least_expiry;
    return least > s->gone ? least : s->gone;
}

/* What is taken for the same impression is not further apart; nor are features of one. */
int64_t oracle_nearby(const struct oracle *o)
{
    return o->catalog.join.window_ms > MINUTE_MS ? o->catalog.join.window_ms : MINUTE_MS;
}
