/* The bounds of what waits and of what is decided: what is shed, given up and forgotten. */
#include "tests/simulation/oracle_state.h"

/* It waits for its impression, or with it for the decision. */
static bool holds_room(const struct oracle *o, const struct oracle_shard *s, const struct oracle_record *r)
{
    if (o->catalog.join.stream[r->stream].kind == JOINER_IMPRESSION)
        return is_undecided(o, r);
    if (is_attributed(o, r)) /* its room is its group's */
        return false;
    return r->fate == FATE_WAITING || (r->fate == FATE_MATCHED && is_undecided(o, &s->record[r->impression]));
}

static uint64_t room_of(const struct oracle *o, const struct oracle_record *r)
{
    return joiner_waiting_bytes(o->catalog.join.stream[r->stream].kind, r->wire.size + r->shared_counts);
}

/* The oldest of a kind that waits: undecided impressions, or what waits for one; NOBODY. */
static uint32_t oldest(const struct oracle *o, const struct oracle_shard *s, enum joiner_stream_kind kind)
{
    uint32_t best = NOBODY;
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        bool waits = kind == JOINER_IMPRESSION ? is_undecided(o, r) : r->fate == FATE_WAITING && !is_attributed(o, r);
        if (o->catalog.join.stream[r->stream].kind == kind && waits &&
            (best == NOBODY || r->time < s->record[best].time))
            best = i;
    }
    return best;
}

static void shed(const struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    oracle_settle_shares(o, s, at, WATERMARK_NONE);
    for (uint32_t i = 0; i < s->records; i++)
        if (s->record[i].fate == FATE_MATCHED && s->record[i].impression == at && !is_attributed(o, &s->record[i]))
            oracle_settle(&s->record[i], FATE_SHED, REASON_SHED);
    oracle_settle(&s->record[at], FATE_SHED, REASON_SHED);
}

static void keep_bound(struct oracle *o, struct oracle_shard *s)
{
    uint64_t most = catalog_limits(&o->catalog).waiting_bytes;
    for (;;) {
        uint64_t held = 0, early = 0;
        for (uint32_t i = 0; i < s->records; i++) {
            held += holds_room(o, s, &s->record[i]) ? room_of(o, &s->record[i]) : 0;
            early +=
                s->record[i].fate == FATE_WAITING && !is_attributed(o, &s->record[i]) ? room_of(o, &s->record[i]) : 0;
        }
        if (most == 0 || held <= most)
            return;
        uint32_t features = oldest(o, s, JOINER_FEATURES), actions = oldest(o, s, JOINER_ACTION),
                 shown = oldest(o, s, JOINER_IMPRESSION), waiting = features != NOBODY ? features : actions;
        shed(o, s, (early > most / 2 || shown == NOBODY) ? waiting : shown);
    }
}

/* Which sixteenth of the longest horizon a time is in. */
static int64_t stretch_of_time(const struct oracle *o, int64_t time, int64_t *width)
{
    int64_t longest = o->catalog.join.allowed_lateness_ms;
    for (uint32_t i = 0; i < o->epoch[0].streams; i++)
        if (o->catalog.join.stream[i].within_ms > longest)
            longest = o->catalog.join.stream[i].within_ms;
    *width = longest < 16 ? 1 : longest / 16;
    return (time - (time % *width + *width) % *width) / *width;
}

static uint64_t bytes_remembered(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    uint64_t bytes = 70;
    for (uint32_t i = 0; i < s->records; i++)
        bytes += oracle_acts_on(o, &s->record[i], impression) && !is_attributed(o, &s->record[i]) ? 26 : 0;
    return bytes;
}

/* Forget the oldest stretch of decided impressions, what there is of it so far, if there are too many. */
bool oracle_give_up(const struct oracle *o, struct oracle_shard *s)
{
    uint64_t most = catalog_limits(&o->catalog).decided_bytes, bytes = 0;
    int64_t oldest_stretch = INT64_MAX, width, known_from = oracle_expiry(o, s);
    bool any_expired = known_from != WATERMARK_NONE; /* else an older epoch decides, and a stream is new */
    if (most == 0)
        return false;
    for (uint32_t i = 0; i < s->records; i++) {
        int64_t stretch = stretch_of_time(o, s->record[i].time, &width);
        if (!s->record[i].decided || s->record[i].time < s->gone ||
            (any_expired && stretch < stretch_of_time(o, known_from, &width)))
            continue;
        bytes += bytes_remembered(o, s, i);
        oldest_stretch = stretch < oldest_stretch ? stretch : oldest_stretch;
    }
    if (bytes <= most)
        return false;
    for (uint32_t i = 0; i < s->records; i++)
        s->given_up += s->record[i].decided && s->record[i].time >= s->gone &&
                       stretch_of_time(o, s->record[i].time, &width) == oldest_stretch;
    int64_t end = (oldest_stretch + 1) * width;
    s->gone = end < oracle_front(o, s) ? end : oracle_front(o, s);
    return true;
}

/* It is not too late for an action while an impression that may hold it is undecided. */
static bool undecided_holds(const struct oracle *o, const struct oracle_shard *s, uint32_t action)
{
    const struct oracle_record *r = &s->record[action];
    for (uint32_t i = 0; i < s->records && (!r->shares || i < r->settled_at); i++)
        if (!s->record[i].decided && oracle_may_hold(o, &s->record[i], r))
            return true;
    return false;
}

/* What is past expiry, as soon as it is decided, or shed or crowded out and no action need stay for its sake. */
void oracle_forget(const struct oracle *o, struct oracle_shard *s)
{
    int64_t known_from = oracle_expiry(o, s);
    bool any = false;
    for (uint32_t i = 0; i < s->records; i++)
        any = any || (s->record[i].decided && !s->record[i].forgotten && s->record[i].time < known_from);
    if (any)
        oracle_settle_shares(o, s, NOBODY, known_from);
    for (uint32_t i = 0; i < s->records && any; i++)
        if (s->record[i].decided && s->record[i].time < known_from)
            s->record[i].forgotten = true;
    for (uint32_t i = 0; i < s->records; i++)
        if (s->record[i].time < known_from && is_attributed(o, &s->record[i]) && !s->record[i].forgotten &&
            !undecided_holds(o, s, i))
            s->record[i].forgotten = true;
}

void oracle_keep_bounds(struct oracle *o, struct oracle_shard *s)
{
    keep_bound(o, s);
    while (oracle_give_up(o, s)) {
    }
    oracle_forget(o, s);
}
