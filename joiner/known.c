/* Decided keys as they are seen by what comes later: which are known to a record, where they are found, and how long
 * they are remembered. */
#include "joiner/joiner_state.h"

enum { NEARBY_MIN_MS = 60000, SPANS = 16 /* of the longest horizon */ };

int64_t joiner_nearby(const struct joiner *j)
{
    return j->config.window_ms > NEARBY_MIN_MS ? j->config.window_ms : NEARBY_MIN_MS;
}

int64_t joiner_span(const struct joiner *j)
{
    int64_t horizon = j->config.allowed_lateness_ms;
    for (uint32_t i = 0; i < j->config.first_streams; i++) /* for as long as the state lives */
        if (j->config.stream[i].within_ms > horizon)
            horizon = j->config.stream[i].within_ms;
    return horizon / SPANS;
}

void joiner_keep_runs(struct joiner *j, const struct runs_tuning *tuning, const struct run_store *store)
{
    CHECK(!runs_on(&j->runs) && decided_count(&j->decided) == 0);
    runs_open(&j->runs, &(struct runs_options){*tuning, *store, joiner_span(j)});
}

int64_t joiner_known_from(const struct joiner *j, const struct joiner_record *r)
{
    const struct joiner_stream *s = &j->config.stream[r->stream];
    int64_t nearest = joiner_minus(r->time, s->kind == JOINER_ACTION ? s->within_ms : joiner_nearby(j));
    return joiner_larger(nearest, j->expiry);
}

bool joiner_was_decided(struct joiner *j, const struct joiner_record *r)
{
    struct bytes entry;
    int64_t from = joiner_known_from(j, r);
    return decided_find(&j->decided, r->key, from) || runs_find(&j->runs, r->key, from, &entry);
}

struct decided_key *joiner_reopen(struct joiner *j, struct hash128 key, int64_t from)
{
    struct bytes entry;
    struct decided_key *k = decided_find(&j->decided, key, from);
    if (k || !runs_find(&j->runs, key, from, &entry))
        return k;
    k = decided_restore(&j->decided, entry);
    if (!k)
        runs_fail(&j->runs);
    return k;
}

void joiner_forget(struct joiner *j)
{
    if (j->config.action_keys)
        joiner_forget_attributed(j);
    if (j->expiry != WATERMARK_NONE)
        decided_expire(&j->decided, j->expiry);
}

/* Impressions of several streams are not told apart here: the first stream says it for all. */
void joiner_keep_decided_bound(struct joiner *j)
{
    uint64_t given_up = remembered_trim(&j->remembered, j->expiry, joiner_front(j), j->config.decided_bytes_max);
    uint32_t i = 0;
    if (given_up == 0)
        return;
    while (j->config.stream[i].kind != JOINER_IMPRESSION)
        i++;
    j->counts[i].given_up += given_up;
    j->expiry = joiner_larger(j->expiry, j->remembered.from);
    joiner_forget(j);
}
