/* Documents that come and go (learner/embedding.h): who is admitted, who has expired, and room for the next ones. */
#include "learner/draw.h"
#include "proto/event.h"
#include "ps/state/shard_state.h"

enum {
    SWEEP_BLOCKS = 64,     /* looked at for each block that names the shard, at least */
    SWEEP_OF_FRESH = 4,    /* and for each document that comes: so a round is over before a quarter more has come */
    SWEEP_MOST = 64 << 10, /* owed at a time, and so the most that one step looks at */
};

uint64_t shard_base(const struct version *v, const void *content)
{
    uint64_t base;
    memcpy(&base, (const uint8_t *)content + v->model->block_size(&v->config), sizeof base);
    return base;
}

static void set_base(const struct version *v, void *content, uint64_t base)
{
    memcpy((uint8_t *)content + v->model->block_size(&v->config), &base, sizeof base);
}

void shard_begin_content(const struct version *v, void *content)
{
    v->model->init(&v->config, content);
    if (version_is_mortal(v))
        set_base(v, content, 0);
}

/* The event that is at hand names the document: of the impression, or of the action that makes it a sample. */
void shard_name_document(struct sample *sample)
{
    struct event e;
    shard_read_event(sample->body, sample->shared, &e);
    sample->named = true;
    sample->item = draw_key(e.doc);
}

bool shard_learn_mortal(const struct version *v, void *content, const struct example *e, uint64_t sequence)
{
    bool before = v->model->admitted(content);
    v->model->learn(&v->config, content, e, 1);
    if (!before && v->model->admitted(content))
        set_base(v, content, sequence);
    return v->model->admitted(content);
}

/* The time is that of the decision, not of today: a version that was paused finds what it would have found. */
bool shard_has_expired(const struct version *v, const void *content, const struct sample *sample)
{
    return version_is_mortal(v) && v->model->expired(&v->config, content, sample->decided_at);
}

bool shard_has_learned(const struct version_slot *slot, const struct sample *correction)
{
    const struct version *v = slot->version;
    uint32_t number = table_find(slot->table, doc_id_of(correction->doc));
    if (!version_is_mortal(v))
        return true;
    if (number == TABLE_NONE)
        return false;
    const void *content = table_block(slot->table, number);
    return v->model->admitted(content) && !shard_has_expired(v, content, correction) &&
           shard_base(v, content) <= correction->original;
}

/* ---- the sweep ---- */

void shard_forget_document(struct shard *s, struct version_slot *slot, uint32_t number)
{
    struct doc_id id = table_id(slot->table, number);
    table_remove(slot->table, number);
    table_mark_dirty(slot->table, number);
    shard_let_name_go(s, id);
}

static void sweep(struct shard *s, struct version_slot *slot, int64_t now)
{
    const struct version *v = slot->version;
    uint32_t count = table_count(slot->table), left = slot->sweep_owed < count ? slot->sweep_owed : count;
    slot->sweep_owed = 0;
    for (; left > 0; left--) {
        uint32_t number = slot->sweep_next < count ? slot->sweep_next : 0;
        slot->sweep_next = number + 1;
        if (v->model->expired(&v->config, table_block(slot->table, number), now))
            shard_forget_document(s, slot, number);
    }
}

void shard_owe_sweep(struct version_slot *slot, uint32_t fresh)
{
    slot->sweep_owed += SWEEP_OF_FRESH * fresh;
    slot->sweep_owed = slot->sweep_owed < SWEEP_MOST ? slot->sweep_owed : SWEEP_MOST;
}

/* With the blocks that name the shard: those are the same in every replay. A version that is behind has not learned yet
 * what time has made of its documents. */
void shard_sweep(struct shard *s)
{
    int64_t now = s->joiner ? joiner_gate_now(s->joiner) : WATERMARK_NONE;
    for (uint32_t i = 0; s->mortals && i < s->slots; i++) {
        struct version_slot *slot = &s->slot[i];
        if (!version_is_mortal(slot->version) || slot_held(slot) || now == WATERMARK_NONE)
            continue;
        shard_owe_sweep(slot, SWEEP_BLOCKS / SWEEP_OF_FRESH);
        sweep(s, slot, now);
    }
    shard_look_at_names(s);
}
