/* Names of documents (STORE_DOC): a name is there as long as anything of its document is, in a table or on its way to
 * one.
 *
 * Precise  when a document's last parameters go its name goes with them, unless something waits that may be learned
 *          into it: a sample in a batch or for its turn, or any sample that is held. Then it is doubted, and looked at
 *          again when nothing is held, at once if something was, else when time has moved on by a sixteenth of
 *          allowed_lateness: with one pass over what waits, for all that are doubted.
 * Kept     where samples, or features that came late for refused ones, were skipped by a filter or because of their
 *          reward a correction may bring them in, and it knows no name: there every name stays.
 * Left     names of samples that were held or waited and are never learned, those doubted when the shard stops, and
 *          those beyond DOUBTS_MAX are left behind. The commit says that there are some, and the next start at which
 *          nothing is held looks through all names, and lets SWEPT_MAX of them go at most; the rest stays for another.
 * Memory   12 bytes a doubt. Nothing of this changes what is learned. */
#include <stdlib.h>

#include "ps/state/shard_state.h"

enum { DOUBTS_MAX = 4096, SWEPT_MAX = 1 << 16, SPANS = 16 };

void shard_names_close(struct doc_names *n) { free(n->doubt); }

static bool somebody_has(const struct shard *s, struct doc_id id)
{
    for (uint32_t i = 0; i < s->slots; i++)
        if (table_find(s->slot[i].table, id) != TABLE_NONE)
            return true;
    return false;
}

static bool skips_what_may_come_in(const struct sample_counts *c) { return c->skipped_filtered || c->skipped_reward; }

/* Of a document that has no parameters. A correction by late features may be skipped like that, too, when its sample
 * was refused. */
static bool corrections_may_learn(const struct shard *s)
{
    for (uint32_t i = 0; i < s->slots; i++)
        if (skips_what_may_come_in(&s->slot[i].fresh) || skips_what_may_come_in(&s->slot[i].corrections))
            return true;
    return false;
}

static void doubt(struct shard *s, struct doc_id id)
{
    struct doc_names *n = &s->names;
    if (!n->doubt)
        n->doubt = mem_new(DOUBTS_MAX, sizeof *n->doubt);
    if (n->doubts == DOUBTS_MAX)
        n->left = true;
    else
        n->doubt[n->doubts++] = id;
}

void shard_let_name_go(struct shard *s, struct doc_id id)
{
    if (somebody_has(s, id))
        return;
    if (corrections_may_learn(s))
        return;
    if (s->holding == 0 && s->batch_bytes == 0)
        shard_unname_doc(s, id);
    else
        doubt(s, id);
}

void shard_leave_names(struct shard *s) { s->names.left = true; }

bool shard_names_left(const struct shard *s) { return s->names.left || s->names.doubts > 0; }

static int by_id(const void *a, const void *b)
{
    const struct doc_id *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return x->high < y->high ? -1 : x->high > y->high;
}

struct waiting_docs {
    struct doc_id *id; /* sorted */
    size_t count;
};

static struct waiting_docs find_waiting(const struct shard *s)
{
    size_t most = 0;
    for (uint32_t i = 0; i < s->batching; i++)
        most += s->slot[s->batcher[i]].batches->samples;
    struct waiting_docs w = {.id = mem_new(most + 1, sizeof *w.id)};
    for (uint32_t i = 0; i < s->batching; i++) {
        const struct batches *b = s->slot[s->batcher[i]].batches;
        for (uint32_t k = 0; k < b->sample_capacity; k++)
            if (b->sample[k].place != BATCHED_NOWHERE)
                w.id[w.count++] = doc_id_of(b->sample[k].doc);
    }
    CHECK(w.count <= most);
    qsort(w.id, w.count, sizeof *w.id, by_id);
    return w;
}

static bool waits(const struct waiting_docs *w, struct doc_id id)
{
    return bsearch(&id, w->id, w->count, sizeof id, by_id) != NULL;
}

void shard_look_at_names(struct shard *s)
{
    struct doc_names *n = &s->names;
    int64_t gate = joiner_gate(&s->catalog.join, s->watermark);
    uint32_t stay = 0;
    if (n->doubts == 0 || s->holding > 0 || gate < n->look_at || corrections_may_learn(s))
        return;
    n->look_at = gate + s->catalog.join.allowed_lateness_ms / SPANS;
    struct waiting_docs w = find_waiting(s);
    for (uint32_t i = 0; i < n->doubts; i++) {
        if (waits(&w, n->doubt[i]))
            n->doubt[stay++] = n->doubt[i];
        else if (!somebody_has(s, n->doubt[i]))
            shard_unname_doc(s, n->doubt[i]);
    }
    n->doubts = stay;
    free(w.id);
}

struct sweeping {
    struct shard *shard;
    struct waiting_docs waiting;
    uint32_t gone;
};

static enum tm_code on_name(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct sweeping *w = context;
    (void)value;
    if (key.size != SHARD_DOC_KEY)
        return tm_error_set(err, TM_DATA_LOSS, "the name of a document has a key of %zu bytes", key.size);
    struct doc_id id = shard_doc_of_key(key.data);
    if (somebody_has(w->shard, id) || waits(&w->waiting, id))
        return TM_OK;
    if (w->gone == SWEPT_MAX) {
        shard_leave_names(w->shard);
        return STORE_ENOUGH;
    }
    shard_unname_doc(w->shard, id);
    w->gone++;
    return TM_OK;
}

enum tm_code shard_sweep_names(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err)
{
    struct sweeping w = {.shard = s};
    if (!s->names.left || s->holding > 0 || corrections_may_learn(s))
        return TM_OK;
    s->names.left = false; /* in the next commit, as what goes; until then a start does this again */
    w.waiting = find_waiting(s);
    enum tm_code rc = store->scan(store->self, STORE_DOC, prefix, prefix, on_name, &w, err);
    free(w.waiting.id);
    return rc;
}
