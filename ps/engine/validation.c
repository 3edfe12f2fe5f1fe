/* How good the predictions of a version were: what the shards have committed, added up. */
#include <stdlib.h>

#include "ps/engine/parts.h"
#include "ps/state/validation_rows.h"

/* Nothing is counted before it is decided, so no sample is newer, but for those of a commit that is written while this
 * is read: at the edge of a pane they wait for the next reading. */
static int64_t decided(struct engine *e)
{
    int64_t newest = WATERMARK_NONE;
    pthread_mutex_lock(&e->committer.mutex);
    for (uint32_t i = 0; i < e->options.shards; i++)
        newest = e->committer.counts[i].front > newest ? e->committer.counts[i].front : newest;
    pthread_mutex_unlock(&e->committer.mutex);
    return newest;
}

struct adding {
    struct validation shard;
    struct validation_total total[VALIDATION_WINDOWS];
};

static enum tm_code add_shards(struct engine *e, struct adding *a, struct validation_key key, bool *there,
                               struct tm_error *err)
{
    struct store store = state_db_store(e->dir.state);
    enum tm_code rc = TM_OK;
    *there = false;
    for (key.shard = 0; rc == TM_OK && key.shard < e->options.shards; key.shard++) {
        bool some;
        rc = validation_fetch(&store, key, &a->shard, &some, err);
        for (int w = 0; rc == TM_OK && some && w < VALIDATION_WINDOWS; w++)
            validation_total_add(&a->total[w], &a->shard);
        *there |= some;
    }
    return rc;
}

static void total_open(struct validation_total *t, const struct version *v, enum validation_window w, int64_t as_of)
{
    validation_total_open(t, w, as_of);
    t->unit = v->model->predict ? v->config.noise_sd : 0;
}

enum tm_code engine_validation(struct engine *e, const struct version *v, struct engine_validation *out,
                               struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    *out = (struct engine_validation){.as_of = decided(e)};
    if (!v->validate || out->as_of == WATERMARK_NONE)
        return TM_OK;
    struct adding *a = mem_new(1, sizeof *a);
    for (int k = 0; rc == TM_OK && k < VALIDATION_KINDS; k++) {
        for (int w = 0; w < VALIDATION_WINDOWS; w++)
            total_open(&a->total[w], v, (enum validation_window)w, out->as_of);
        rc = add_shards(e, a, (struct validation_key){.version = v->id, .kind = (enum validation_kind)k},
                        &out->kind[k].there, err);
        for (int w = 0; w < VALIDATION_WINDOWS; w++) {
            validation_report(&a->total[w], &out->kind[k].window[w]);
            validation_total_close(&a->total[w]);
        }
    }
    free(a);
    return rc;
}
