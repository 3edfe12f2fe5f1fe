/* What can be seen of a joiner from outside: counters, delays, memory. Nothing here changes it. */
#include "joiner/joiner_state.h"

int64_t joiner_expiry(const struct joiner *j) { return j->expiry; }
const struct stream_counts *joiner_counts(const struct joiner *j) { return j->counts; }
const struct delays *joiner_delays(const struct joiner *j, uint32_t stream) { return j->delays[stream]; }
uint64_t joiner_sequence(const struct joiner *j) { return j->sequence; }
uint64_t joiner_decided(const struct joiner *j) { return decided_count(&j->decided) + runs_keys(&j->runs); }

struct joiner_pace joiner_pace(const struct joiner *j)
{
    struct joiner_pace pace = j->pace;
    pace.bytes += j->chunks.stored;
    return pace;
}

size_t joiner_decided_memory(const struct joiner *j) { return decided_memory(&j->decided) + runs_memory(&j->runs); }

static size_t timers(const struct joiner *j)
{
    size_t bytes = due_memory(&j->early_actions) + due_memory(&j->early_features);
    for (uint32_t i = 0; i < JOINER_EPOCHS_MAX; i++)
        bytes += due_memory(&j->decisions[i]);
    return bytes;
}

size_t joiner_memory(const struct joiner *j)
{
    return pending_memory(&j->pending) + joiner_decided_memory(j) + chunks_memory(&j->chunks) + timers(j) +
           attribution_memory(&j->attribution);
}

uint64_t joiner_held_bytes(const struct joiner *j) { return j->held; }
size_t joiner_undecided_entries(const struct joiner *j) { return pending_touched(&j->pending) + timers(j); }
size_t joiner_undecided_payload(const struct joiner *j) { return j->chunks.used; }

size_t joiner_unfrozen(const struct joiner *j)
{
    return chunks_unsealed(&j->chunks) + j->decided.changed_count * sizeof(struct decided_key) +
           j->attribution.log.size;
}
