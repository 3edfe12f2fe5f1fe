/* All parameters of a version while the workers write them. */
#include "base/rcu.h"
#include "ps/engine/parts.h"

enum { SECTION = 1024 }; /* blocks read before waiting writers may free memory */

/* From *next on; false: it is to end, or the shard's are done. */
static bool visit_section(const struct table *t, void *copy, uint32_t *next, bool *goes_on, engine_visit_block *visit,
                          void *context)
{
    uint32_t end = table_count(t);
    for (uint32_t i = 0; *goes_on && i < SECTION && *next < end; i++) {
        uint32_t number = (*next)++;
        if (table_read(t, number, table_id(t, number), copy) && !doc_id_equal(table_id(t, number), TABLE_NOBODY))
            *goes_on = visit(context, copy);
    }
    return *goes_on && *next < end;
}

void engine_visit_blocks(struct engine *e, const struct version *v, engine_visit_block *visit, void *context)
{
    CLEANUP(block_copy_close) struct block_copy room;
    void *copy = block_copy_open(&room, version_content_size(v));
    bool goes_on = true;
    for (uint32_t i = 0; goes_on && i < e->options.shards; i++) {
        uint32_t next = 0;
        bool more = true;
        while (more) {
            rcu_enter();
            const struct table *t = shard_table(e->shard[i], v->id);
            more = t && visit_section(t, copy, &next, &goes_on, visit, context);
            rcu_leave();
        }
    }
}
