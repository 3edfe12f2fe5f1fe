/* Decisions: when an impression makes a sample, and what corrects it later. */
#include "tests/simulation/oracle_state.h"

/* Tell what the actions up to `last` come to, if it is something else than was told. */
void oracle_correct(struct oracle *o, struct oracle_shard *s, uint32_t impression, uint32_t last, uint64_t position)
{
    double labels[JOINER_LABELS_MAX];
    struct oracle_record *r = &s->record[impression];
    bool excluded = oracle_labels_of(o, s, impression, last, labels), there = r->keep > 0;
    bool changed = there && excluded != r->excluded;
    for (uint32_t i = 0; i < o->catalog.join.labels; i++)
        changed = changed || labels[i] != r->labels[i];
    if (changed)
        oracle_emit(o, s, impression, there ? SAMPLE_CORRECTION : SAMPLE_NEW, labels, excluded, position,
                    (struct oracle_change){0});
}

static void leave_out(struct oracle *o, struct oracle_shard *s, uint32_t impression)
{
    struct oracle_record *r = &s->record[impression];
    r->was_left_out = true;
    r->features = oracle_features_of(o, s, impression);
    r->features.kept = lessons_keep_features(&s->lessons, &o->catalog, r->version, &r->features);
    lessons_leave_out(&s->lessons, &o->catalog, r->version);
}

/* The first labels are of the actions up to some time. */
static void decide_until(struct oracle *o, struct oracle_shard *s, uint32_t impression, int64_t closes)
{
    double labels[JOINER_LABELS_MAX];
    uint32_t last = NOBODY, next = oracle_next_action(o, s, impression, NOBODY);
    for (; next != NOBODY && s->record[next].time <= closes; next = oracle_next_action(o, s, impression, next))
        last = next;
    bool excluded = oracle_labels_of(o, s, impression, last, labels);
    s->record[impression].decided_here = o->here;
    if (oracle_is_negative(o, labels) && s->record[impression].lot.left_out)
        leave_out(o, s, impression);
    else
        oracle_emit(o, s, impression, SAMPLE_NEW, labels, excluded, s->record[impression].position,
                    (struct oracle_change){0});
    for (; next != NOBODY; next = oracle_next_action(o, s, impression, next))
        oracle_correct(o, s, impression, next, s->record[next].position);
    s->record[impression].decided = true;
}

void oracle_decide(struct oracle *o, struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *r = &s->record[impression];
    decide_until(o, s, impression, r->time + o->epoch[r->epoch].window_ms);
}

static bool has_required(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    for (uint32_t stream = 0; stream < o->epoch[s->record[impression].epoch].streams; stream++) {
        const struct joiner_stream *wanted = &o->catalog.join.stream[stream];
        bool came = wanted->kind != JOINER_FEATURES || !wanted->required;
        for (uint32_t i = 0; i < s->records; i++)
            came = came || (s->record[i].stream == stream && s->record[i].fate == FATE_MATCHED &&
                            s->record[i].impression == impression);
        if (!came)
            return false;
    }
    return true;
}

/* Positives need not wait for the gate. */
static bool is_ready(const struct oracle *o, const struct oracle_shard *s, uint32_t impression)
{
    const struct oracle_record *r = &s->record[impression];
    double labels[JOINER_LABELS_MAX];
    if (!is_undecided(o, r) || !o->epoch[r->epoch].at_once || oracle_gate_of(o, r->epoch) == WATERMARK_NONE ||
        !has_required(o, s, impression))
        return false;
    oracle_labels_of(o, s, impression, oracle_last_action(o, s, impression), labels);
    return !oracle_is_negative(o, labels);
}

/* Whoever is ready now, whatever made it so: the smallest time first, then the smallest position. */
void oracle_decide_ready(struct oracle *o, struct oracle_shard *s)
{
    for (;;) {
        uint32_t next = NOBODY;
        for (uint32_t i = 0; i < s->records; i++)
            if ((next == NOBODY || s->record[i].time < s->record[next].time) && is_ready(o, s, i))
                next = i;
        if (next == NOBODY)
            return;
        decide_until(o, s, next, INT64_MAX);
        s->ahead = s->record[next].time >= s->ahead ? s->record[next].time + 1 : s->ahead;
    }
}
