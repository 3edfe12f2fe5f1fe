/* What a restart needs to know of attribution: changes, and how they are taken in again. */
#include "joiner/attribution_state.h"

enum { LOGGED_SHOWN, LOGGED_DEED, LOGGED_SHED, LOGGED_KINDS };
enum { WITHDRAW = 1, MATCHED = 2, WITHDRAWN = 4 };

static void begin_entry(struct attribution *a, uint8_t kind, const struct action_group *g, int64_t time)
{
    buffer_put_u8(&a->log, kind);
    buffer_put_u8(&a->log, (uint8_t)g->slot);
    buffer_put(&a->log, &g->key, sizeof g->key);
    buffer_put_i64(&a->log, time);
    if (time > a->logged_until)
        a->logged_until = time;
}

void attribution_log_shown(struct attribution *a, uint32_t group, const struct joiner_record *r)
{
    begin_entry(a, LOGGED_SHOWN, attribution_group_at(a, group), r->time);
    buffer_put(&a->log, &r->key, sizeof r->key);
    buffer_put_u64(&a->log, r->position);
    buffer_put_u32(&a->log, r->version);
}

void attribution_log_shed(struct attribution *a, uint32_t group, const struct shown *s)
{
    begin_entry(a, LOGGED_SHED, attribution_group_at(a, group), s->time);
    buffer_put(&a->log, &s->key, sizeof s->key);
    buffer_put_u64(&a->log, s->position);
}

void attribution_log_deed(struct attribution *a, uint32_t deed)
{
    const struct deed *d = attribution_deed_at(a, deed);
    begin_entry(a, LOGGED_DEED, attribution_group_at(a, d->group), d->time);
    buffer_put_u64(&a->log, d->event);
    buffer_put_u64(&a->log, d->position);
    buffer_put_f64(&a->log, d->value);
    buffer_put_u64(&a->log, d->settled_at);
    buffer_put_u32(&a->log, d->version);
    buffer_put_u8(&a->log, d->shares);
    buffer_put_u8(&a->log, d->stream);
    buffer_put_u8(
        &a->log, (uint8_t)((d->withdraw ? WITHDRAW : 0) | (d->matched ? MATCHED : 0) | (d->withdrawn ? WITHDRAWN : 0)));
}

struct bytes attribution_take_log(struct attribution *a)
{
    struct buffer empty = a->taken;
    empty.size = 0;
    a->taken = a->log;
    a->log = empty;
    a->logged_until = INT64_MIN;
    return buffer_view(&a->taken);
}

/* ---- loading ---- */

/* An impression again under a key whose old one was forgotten: nobody told this state yet. */
static void forget_old(struct attribution *a, const struct joiner_record *r)
{
    uint32_t i = attribution_find_shown(a, r->key);
    if (i == ATTRIBUTION_NONE || attribution_shown_at(a, i)->position == r->position)
        return;
    struct shown old = *attribution_shown_at(a, i);
    for (uint32_t slot = 0; slot < JOINER_ACTION_KEYS_MAX; slot++)
        if (old.group[slot] != ATTRIBUTION_NONE) {
            attribution_take_out(a, old.group[slot], i);
            attribution_drop_if_empty(a, old.group[slot]);
        }
}

static void load_shown(struct attribution *a, struct reader *r, struct hash128 action_key, uint32_t slot, int64_t time)
{
    struct joiner_record record = {.time = time, .key = reader_hash128(r)};
    uint32_t crowded_out, shown;
    record.position = reader_u64(r);
    record.version = reader_u32(r);
    if (r->bad)
        return;
    forget_old(a, &record);
    shown = attribution_find_shown(a, record.key);
    attribution_show(a, attribution_group(a, action_key, slot), &record, &shown, &crowded_out);
}

static void load_shed(struct attribution *a, struct reader *r, struct hash128 action_key, uint32_t slot, int64_t time)
{
    struct hash128 key = reader_hash128(r);
    uint64_t position = reader_u64(r);
    uint32_t group = attribution_find(a, action_key), i = attribution_find_shown(a, key);
    (void)time;
    if (r->bad || group == ATTRIBUTION_NONE || i == ATTRIBUTION_NONE ||
        attribution_shown_at(a, i)->position != position || attribution_shown_at(a, i)->group[slot] != group)
        return;
    attribution_take_out(a, group, i);
    attribution_drop_if_empty(a, group);
}

static void load_deed(struct attribution *a, struct reader *r, struct hash128 action_key, uint32_t slot, int64_t time)
{
    struct deed d = {.event = reader_u64(r), .time = time};
    d.position = reader_u64(r);
    d.value = reader_f64(r);
    d.settled_at = reader_u64(r);
    d.version = reader_u32(r);
    d.shares = reader_u8(r);
    d.stream = reader_u8(r);
    uint8_t flags = reader_u8(r);
    d.withdraw = flags & WITHDRAW;
    d.matched = flags & MATCHED;
    d.withdrawn = flags & WITHDRAWN;
    r->bad |= d.stream >= a->config->streams || a->config->stream[d.stream].attribute == JOINER_ATTRIBUTE_NONE ||
              d.shares > ATTRIBUTION_SHOWN_MAX;
    if (r->bad)
        return;
    uint32_t group = attribution_group(a, action_key, slot), i = attribution_group_at(a, group)->deeds;
    while (i != ATTRIBUTION_NONE && attribution_deed_at(a, i)->position != d.position)
        i = attribution_deed_at(a, i)->next;
    bool known = i != ATTRIBUTION_NONE;
    if (!known)
        i = attribution_new_deed(a);
    d.group = group;
    d.next = attribution_deed_at(a, i)->next;
    *attribution_deed_at(a, i) = d;
    if (!known)
        attribution_link_deed(a, group, i);
}

enum tm_code attribution_load(struct attribution *a, struct bytes log, struct tm_error *err)
{
    struct reader r = reader_of(log);
    while (!r.bad && reader_left(&r)) {
        uint8_t kind = reader_u8(&r), slot = reader_u8(&r);
        struct hash128 key = reader_hash128(&r);
        int64_t time = reader_i64(&r);
        r.bad |= kind >= LOGGED_KINDS || slot >= a->config->action_keys;
        if (r.bad)
            break;
        (kind == LOGGED_SHOWN ? load_shown : kind == LOGGED_DEED ? load_deed : load_shed)(a, &r, key, slot, time);
    }
    a->log.size = 0;
    return r.bad ? tm_error_set(err, TM_DATA_LOSS, "what is stored of attributed actions is damaged") : TM_OK;
}

void attribution_loaded(struct attribution *a, int64_t expiry, int64_t horizon, struct stream_counts *counts)
{
    for (uint32_t i = 0; i < a->groups.count; i++) {
        const struct action_group *g = attribution_group_at(a, i);
        if (g->shown > 0 || g->deeds != ATTRIBUTION_NONE)
            attribution_drop_past(a, i, expiry, horizon);
    }
    for (uint32_t i = 0; i < a->deeds.count; i++) {
        const struct deed *d = attribution_deed_at(a, i);
        if (d->position == 0 || d->matched)
            continue;
        counts[d->stream].waiting++;
        due_insert(&a->waits, d->time, d->position, i);
    }
    a->logged_until = INT64_MIN;
}
