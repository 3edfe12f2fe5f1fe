/* Parameters that begin anew; the rule is in ps/state/shard.h. */
#include "ps/state/parameter_reset.h"
#include "ps/state/shard_state.h"

struct forgetting {
    struct shard *shard;
    struct version_slot *slot;
    void *prior; /* the block of a document that nothing was learned about */
};

static void empty_block(struct forgetting *f, uint32_t number)
{
    table_write(f->slot->table, number, f->prior);
    table_mark_dirty(f->slot->table, number);
}

/* Every shard sees the record; the document has a block in one of them, if in any. Without one nothing was learned: a
 * sample that had no reward so far may still get one by a correction. */
static void forget_doc(void *context, struct bytes doc)
{
    struct forgetting *f = context;
    struct shard *s = f->shard;
    struct doc_id id = shard_doc_id(doc, s->options.hash_seed);
    uint32_t number = table_find(f->slot->table, id);
    if (number == TABLE_NONE)
        return;
    empty_block(f, number);
    resets_doc(&f->slot->resets, &(struct reset){id, f->slot->cursor.next, joiner_gate(&s->catalog.join, s->watermark)},
               shard_horizon(s, f->slot));
}

static void forget_all(struct forgetting *f)
{
    for (uint32_t i = 0; i < table_count(f->slot->table); i++)
        empty_block(f, i);
    resets_all(&f->slot->resets, f->slot->cursor.next);
}

void shard_reset(struct shard *s, uint32_t version, struct bytes control)
{
    struct version_slot *slot = shard_slot(s, version);
    const struct version *v = slot->version;
    CLEANUP(block_copy_close) struct block_copy copy;
    struct forgetting f = {s, slot, block_copy_open(&copy, v->model->block_size(&v->config))};
    v->model->init(&v->config, f.prior);
    if (!parameter_reset_visit(control, forget_doc, &f))
        forget_all(&f);
}
