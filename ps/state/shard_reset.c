/* Parameters that begin anew; the rule is in ps/state/shard.h. */
#include "ps/state/parameter_reset.h"
#include "ps/state/shard_state.h"

struct forgetting {
    struct shard *shard;
    struct version_slot *slot;
    void *prior; /* the block of a document that nothing was learned about */
};

/* What a document that comes and goes had learned is told by its base (shard_has_learned): it just goes. */
static void empty_block(struct forgetting *f, uint32_t number)
{
    if (version_is_mortal(f->slot->version)) {
        shard_forget_document(f->shard, f->slot, number);
        return;
    }
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
    if (version_is_mortal(f->slot->version))
        return;
    resets_doc(&f->slot->resets, &(struct reset){id, f->slot->cursor.next, joiner_front(s->joiner)},
               shard_batches_horizon(s, f->slot));
}

static void forget_blocks(struct forgetting *f)
{
    for (uint32_t i = 0; i < table_count(f->slot->table); i++)
        if (!doc_id_equal(table_id(f->slot->table, i), TABLE_NOBODY))
            empty_block(f, i);
}

static struct forgetting begin(struct shard *s, struct version_slot *slot, struct block_copy *room)
{
    struct forgetting f = {s, slot, block_copy_open(room, version_content_size(slot->version))};
    shard_begin_content(slot->version, f.prior);
    return f;
}

void shard_forget_all(struct shard *s, struct version_slot *slot)
{
    struct block_copy room;
    struct forgetting f = begin(s, slot, &room);
    forget_blocks(&f);
    block_copy_close(&room);
}

static void forget_all(struct forgetting *f)
{
    forget_blocks(f);
    resets_all(&f->slot->resets, f->slot->cursor.next);
}

void shard_reset(struct shard *s, uint32_t version, struct bytes control)
{
    struct version_slot *slot = shard_slot(s, version);
    struct block_copy room;
    struct forgetting f = begin(s, slot, &room);
    if (!parameter_reset_visit(control, forget_doc, &f))
        forget_all(&f);
    block_copy_close(&room);
}
