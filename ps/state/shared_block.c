#include "ps/state/shared_block.h"

#include <stdlib.h>

enum tm_code shared_block_new(struct buffer *bytes, struct shared_block **out, struct tm_error *err)
{
    struct shared_block *b = mem_new(1, sizeof *b);
    b->bytes = *bytes;
    *bytes = (struct buffer){0};
    atomic_init(&b->references, 1);
    enum tm_code code = block_parse(buffer_view(&b->bytes), &b->block, err);
    if (code != TM_OK) {
        shared_block_unref(b);
        return code;
    }
    *out = b;
    return TM_OK;
}

void shared_block_ref(struct shared_block *b)
{
    /* Relaxed: whoever takes a reference already holds one. */
    CHECK(atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed) > 0);
}

void shared_block_unref(struct shared_block *b)
{
    /* Every reader's last look comes before the free. */
    if (atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) == 1) {
        buffer_close(&b->bytes);
        free(b);
    }
}
