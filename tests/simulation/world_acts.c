/* The acts of a world: what clients, the server, the clock and the disk do, each as often as its habit says. */
#include "tests/simulation/world_author.h"

static struct act *add_act(struct author *a, enum act_kind kind)
{
    struct world *w = a->w;
    if (w->acts == a->act_capacity) {
        a->act_capacity = a->act_capacity ? 2 * a->act_capacity : 64;
        w->act = mem_grow(w->act, a->act_capacity, sizeof *w->act);
    }
    struct act *act = &w->act[w->acts++];
    *act =
        (struct act){.kind = kind, .luck = (uint32_t)random_next(&a->r), .amount = (uint32_t)random_next(&a->r) >> 8};
    return act;
}

static void add_send(struct author *a)
{
    struct act *act = add_act(a, ACT_SEND);
    act->who = below(a, a->w->lanes);
    act->first = a->w->events;
    act->count = chance(a, 3) ? 0 : chance(a, 80) ? between(a, 1, 3) : between(a, 4, 12);
    while (a->w->events < act->first + act->count)
        author_make_event(a, &a->w->lane[act->who]);
    act = &a->w->act[a->w->acts - 1];
    act->count = a->w->events - act->first; /* a record may bring more */
}

/* What the server shows and hears itself, of streams that somebody sends. */
static void add_rank(struct author *a)
{
    const struct joiner_config *c = &a->w->join.join;
    struct world_lane server = {0};
    for (uint32_t i = 0; i < c->streams; i++)
        if (c->stream[i].kind != JOINER_FEATURES && !(a->w->stalled >> i & 1))
            server.streams |= UINT32_C(1) << i;
    if (!server.streams || !a->ranks)
        return;
    struct act *act = add_act(a, ACT_RANK);
    act->first = a->w->events;
    act->count = chance(a, 80) ? between(a, 1, 2) : between(a, 3, 8);
    for (uint32_t i = 0; i < act->count; i++)
        author_make_event(a, &server);
    act->count = a->w->events - act->first;
    act->time = a->now - (chance(a, 10) ? a->unit * (int64_t)below(a, 30) : 0);
    for (uint32_t i = act->first; i < a->w->events; i++) {
        a->w->event[i].stamped = true;
        a->w->event[i].record = 0; /* each comes alone */
        a->w->event[i].time = act->time;
    }
}

static void add_clock(struct author *a)
{
    struct act *act = add_act(a, ACT_CLOCK);
    act->time = a->now - (chance(a, 20) ? a->unit * (int64_t)below(a, 30) : 0);
}

/* Everything up to now has come. */
static void add_now(struct author *a)
{
    for (uint8_t stream = 0; stream < a->w->join.join.streams; stream++)
        for (uint32_t lane = 0; lane < a->w->lanes; lane++)
            if (a->w->lane[lane].streams >> stream & 1) {
                struct act *act = add_act(a, ACT_WATERMARK);
                act->who = lane;
                act->stream = stream;
                act->time = a->now;
            }
}

static void add_watermark(struct author *a)
{
    struct act *act = add_act(a, ACT_WATERMARK);
    const struct joiner_config *c = &a->w->join.join;
    act->who = below(a, a->w->lanes);
    act->stream = (uint8_t)below(a, c->streams);
    while (!(a->w->lane[act->who].streams >> act->stream & 1))
        act->stream = (uint8_t)((act->stream + 1) % c->streams);
    uint32_t dice = below(a, 100);
    if (dice < 40)
        act->time = a->now;
    else if (dice < 60)
        act->time = a->now - a->unit * below(a, 10);
    else if (dice < 80)
        act->time = author_some_impression_time(a) + (chance(a, 50) ? c->window_ms : 0) + below(a, 2);
    else
        act->time = author_some_time(a);
}

static const struct {
    enum act_kind kind;
    uint32_t weight;
} habits[] = {
    {ACT_RANK, 25},  {ACT_CLOCK, 10},    {ACT_SEND, 100},      {ACT_WATERMARK, 45}, {ACT_END, 3},    {ACT_LEAVE, 2},
    {ACT_REPEAT, 5}, {ACT_GAP, 3},       {ACT_RECONNECT, 4},   {ACT_RESTART, 3},    {ACT_WAIT, 10},  {ACT_VERSION, 6},
    {ACT_SEAL, 90},  {ACT_LOG_SYNC, 60}, {ACT_HAND_OVER, 100}, {ACT_COMMIT, 80},    {ACT_SYNC, 15},  {ACT_CRASH, 8},
    {ACT_JOIN, 8},   {ACT_RESET, 6},     {ACT_ENCODER, 10},    {ACT_PRIOR, 4},      {ACT_PAUSE, 10}, {ACT_RESUME, 6},
    {ACT_RULES, 2},  {ACT_DISCARD, 6},   {ACT_PROCEED, 8},     {ACT_LIMIT, 1},
};

enum { PAUSING_HABITS = 5 }; /* the last ones */

void author_add_habit(struct author *a)
{
    uint32_t total = 0, i = 0;
    size_t n = ARRAY_LEN(habits) - (a->pauses ? 0 : PAUSING_HABITS);
    for (size_t k = 0; k < n; k++)
        total += habits[k].weight;
    for (uint32_t dice = below(a, total); dice >= habits[i].weight; i++)
        dice -= habits[i].weight;
    switch (habits[i].kind) {
    case ACT_SEND: add_send(a); break;
    case ACT_RANK: add_rank(a); break;
    case ACT_CLOCK: add_clock(a); break;
    case ACT_WATERMARK: a->orderly ? add_now(a) : add_watermark(a); break;
    case ACT_WAIT: add_act(a, ACT_WAIT)->amount = chance(a, 70) ? below(a, 30) : below(a, 400); break;
    default: add_act(a, habits[i].kind)->who = (uint32_t)random_next(&a->r) >> 8;
    }
    if (habits[i].kind == ACT_CRASH && chance(a, 25)) { /* and again, in the middle of the recovery */
        add_act(a, ACT_HAND_OVER)->who = below(a, WORLD_THREADS_MAX);
        add_act(a, ACT_COMMIT)->who = below(a, WORLD_SHARDS_MAX);
        add_act(a, ACT_CRASH)->who = below(a, WORLD_THREADS_MAX);
    }
}

/* The story ends well: everybody is far ahead, so that all windows close. */
void author_add_end(struct author *a)
{
    add_act(a, ACT_CLOCK)->time = a->now + 2 * WORLD_DAY_MS;
    for (uint32_t lane = 0; lane < a->w->lanes; lane++)
        for (uint8_t stream = 0; stream < a->w->join.join.streams; stream++)
            if (a->w->lane[lane].streams >> stream & 1) {
                struct act *act = add_act(a, ACT_WATERMARK);
                act->who = lane;
                act->stream = stream;
                act->time = a->now + 2 * WORLD_DAY_MS;
            }
}
