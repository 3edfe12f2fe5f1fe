/* Epochs: which an impression belongs to, when each is decided, and the beginning of another one. */
#include "joiner/joiner_state.h"

static struct joiner_epoch only_epoch(const struct joiner_config *c)
{
    return (struct joiner_epoch){.number = 1,
                                 .streams = c->streams,
                                 .labels = c->labels,
                                 .window_ms = c->window_ms,
                                 .from = 0,
                                 .at_once = c->at_once};
}

static uint64_t first_labels(uint32_t labels) { return (UINT64_C(1) << labels) - 1; }

static int64_t gate_of(const struct joiner_config *config, const struct joiner_epoch *e, const int64_t *watermarks)
{
    int64_t gate = INT64_MAX;
    for (uint32_t i = 0; i < e->streams; i++) {
        const struct joiner_stream *s = &config->stream[i];
        if (s->kind == JOINER_ACTION && (s->labels & first_labels(e->labels)))
            gate = joiner_smaller(gate, joiner_minus(watermarks[i], e->window_ms));
        if (s->kind == JOINER_IMPRESSION || (s->kind == JOINER_FEATURES && s->required))
            gate = joiner_smaller(gate, watermarks[i]);
    }
    return gate == INT64_MAX ? WATERMARK_NONE : gate;
}

int64_t joiner_gate(const struct joiner_config *config, const int64_t *watermarks)
{
    struct joiner_epoch newest = config->epochs ? config->epoch[config->epochs - 1] : only_epoch(config);
    return gate_of(config, &newest, watermarks);
}

static bool any_at_once(const struct joiner_config *c)
{
    bool any = false;
    for (uint32_t i = 0; i < c->epochs; i++)
        any |= c->epoch[i].at_once;
    return any;
}

void joiner_set_gates(struct joiner *j)
{
    for (uint32_t i = 0; i < j->config.epochs; i++)
        j->gate[i] = gate_of(&j->config, &j->config.epoch[i], j->watermark);
}

void joiner_open_epochs(struct joiner *j)
{
    j->floor = (struct joiner_floor){WATERMARK_NONE, WATERMARK_NONE, WATERMARK_NONE, WATERMARK_NONE};
    j->told_at = j->ahead = WATERMARK_NONE;
    if (j->config.epochs == 0)
        j->config.epoch[j->config.epochs++] = only_epoch(&j->config);
    if (j->config.first_streams == 0)
        j->config.first_streams = j->config.streams;
    for (uint32_t i = 0; i < JOINER_EPOCHS_MAX; i++)
        due_open(&j->decisions[i]);
    j->at_once = any_at_once(&j->config);
    joiner_set_gates(j);
}

uint32_t joiner_epoch_of(const struct joiner *j, uint64_t position)
{
    uint32_t i = j->config.epochs;
    while (i > 0 && j->config.epoch[i - 1].from > position)
        i--;
    return i > 0 ? i - 1 : JOINER_EPOCHS_MAX;
}

uint64_t joiner_undecided(const struct joiner *j)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < JOINER_EPOCHS_MAX; i++)
        sum += j->undecided[i];
    return sum;
}

/* Something is decided by its gate, now or later. */
static bool is_open(const struct joiner *j, uint32_t epoch)
{
    return epoch + 1 == j->config.epochs || j->undecided[joiner_slot(j, epoch)] > 0;
}

uint32_t joiner_oldest_epoch(const struct joiner *j)
{
    uint32_t i = 0;
    while (!is_open(j, i))
        i++;
    return j->config.epoch[i].number;
}

static int64_t least_gate(const struct joiner *j)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < j->config.epochs; i++)
        if (is_open(j, i))
            least = joiner_smaller(least, j->gate[i]);
    return least;
}

int64_t joiner_gate_now(const struct joiner *j) { return joiner_larger(j->floor.gate, least_gate(j)); }

int64_t joiner_gate_at(const struct joiner *j, const int64_t *watermarks)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < j->config.epochs; i++)
        if (is_open(j, i))
            least = joiner_smaller(least, gate_of(&j->config, &j->config.epoch[i], watermarks));
    return joiner_larger(j->floor.gate, least);
}

int64_t joiner_newest_gate(const struct joiner *j)
{
    int64_t front = j->floor.front;
    for (uint32_t i = 0; i < j->config.epochs; i++)
        front = joiner_larger(front, j->gate[i]);
    return front;
}

int64_t joiner_front(const struct joiner *j) { return joiner_larger(j->ahead, joiner_newest_gate(j)); }

int64_t joiner_decided_before(const struct joiner *j)
{
    int64_t before = least_gate(j);
    for (uint32_t i = 0; i < j->config.streams; i++)
        if (j->config.stream[i].kind == JOINER_IMPRESSION)
            before = joiner_smaller(before, joiner_minus(j->watermark[i], j->config.allowed_lateness_ms));
    return before;
}

/* Positives of an epoch are decided when its gate, wherever that is, becomes known. */
static bool becomes_known(const struct joiner *j, uint32_t epoch, int64_t gate)
{
    return j->config.epoch[epoch].at_once && j->gate[epoch] == WATERMARK_NONE && gate != WATERMARK_NONE &&
           j->undecided[joiner_slot(j, epoch)] > 0;
}

bool joiner_is_due(const struct joiner *j, const int64_t *watermarks)
{
    for (uint32_t i = 0; i < j->config.epochs; i++) {
        int64_t gate = gate_of(&j->config, &j->config.epoch[i], watermarks);
        if (due_earliest(&j->decisions[joiner_slot(j, i)]) < gate || becomes_known(j, i, gate))
            return true;
    }
    return false;
}

/* Of equal times the older epoch has the smaller positions. */
uint32_t joiner_next_epoch(const struct joiner *j, const int64_t *limits)
{
    uint32_t next = JOINER_EPOCHS_MAX;
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < j->config.epochs; i++) {
        int64_t earliest = due_earliest(&j->decisions[joiner_slot(j, i)]);
        if (earliest < least && (!limits || earliest < limits[i])) {
            least = earliest;
            next = i;
        }
    }
    return next;
}

void joiner_change(struct joiner *j, const struct joiner_config *config, struct joiner_output output)
{
    const struct joiner_epoch *newest = &config->epoch[config->epochs - 1];
    uint32_t slot = newest->number % JOINER_EPOCHS_MAX;
    CHECK(config->epochs > 0 && config->streams >= j->config.streams && config->labels >= j->config.labels);
    CHECK(newest->number == j->config.epoch[j->config.epochs - 1].number + 1 && j->undecided[slot] == 0);
    j->floor = (struct joiner_floor){joiner_gate_now(j), joiner_newest_gate(j), j->expiry, j->action_horizon};
    due_close(&j->decisions[slot]); /* what is left of an epoch that is gone waits no more */
    due_open(&j->decisions[slot]);
    j->config = *config;
    j->at_once = any_at_once(config);
    j->output = output;
    joiner_number_features(j);
    joiner_advance(j, j->watermark); /* features wait less long for their impressions if the window is smaller */
}
