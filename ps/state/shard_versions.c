/* Which versions are here, which samples go to whom, and what a version makes of a sample. */
#include <stdlib.h>

#include "base/rcu.h"
#include "proto/event.h"
#include "ps/state/shard_state.h"
#include "ps/state/version_reward.h"

/* Ids grow from 1, so most versions stand at the place of their id. */
struct version_slot *shard_slot(struct shard *s, uint32_t version)
{
    if (version - 1 < s->slots && s->slot[version - 1].version->id == version)
        return &s->slot[version - 1];
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->slot[i].version->id == version)
            return &s->slot[i];
    return NULL;
}

const struct table *shard_table(const struct shard *s, uint32_t version)
{
    const struct table_set *set = atomic_load_explicit(&s->readers, memory_order_acquire);
    for (uint32_t i = 0; set && i < set->count; i++)
        if (set->item[i].version == version)
            return set->item[i].table;
    return NULL;
}

static void publish_tables(struct shard *s)
{
    struct table_set *set = mem_new(1, sizeof *set + s->slots * sizeof set->item[0]);
    for (uint32_t i = 0; i < s->slots; i++) {
        set->item[i].version = s->slot[i].version->id;
        set->item[i].table = s->slot[i].table;
    }
    set->count = s->slots;
    struct table_set *old = atomic_exchange_explicit(&s->readers, set, memory_order_acq_rel);
    if (old)
        rcu_retire(old);
}

static int by_source(const void *a, const void *b)
{
    const struct route *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void plan_routes(struct shard *s)
{
    s->routes = 0;
    for (uint32_t i = 0; i < s->slots; i++)
        s->routes += s->slot[i].version->samples_from_count;
    s->route = mem_grow(s->route, s->routes, sizeof *s->route);
    s->routes = 0;
    for (uint32_t i = 0; i < s->slots; i++)
        for (uint32_t k = 0; k < s->slot[i].version->samples_from_count; k++)
            s->route[s->routes++] = (struct route){s->slot[i].version->samples_from[k], i};
    qsort(s->route, s->routes, sizeof *s->route, by_source);
}

static void add_doc(struct shard *s, struct new_doc doc)
{
    if (s->new_docs == s->new_doc_capacity) {
        s->new_doc_capacity = s->new_doc_capacity ? s->new_doc_capacity * 2 : 64;
        s->new_doc = mem_grow(s->new_doc, s->new_doc_capacity, sizeof *s->new_doc);
    }
    s->new_doc[s->new_docs++] = doc;
}

/* The impression's event names the document; its text goes to the store with the first parameter made for it. */
static void note_doc(struct shard *s, struct doc_id id, const struct sample *sample)
{
    struct event e;
    shard_read_event(sample->body, sample->shared, &e);
    add_doc(s, (struct new_doc){id, (uint32_t)s->new_doc_text.size, (uint32_t)e.doc.size});
    buffer_put(&s->new_doc_text, e.doc.data, e.doc.size);
}

void shard_unname_doc(struct shard *s, struct doc_id id) { add_doc(s, (struct new_doc){.id = id}); }

/* NULL: the model learns from labels alone. */
static const float *features_for(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    return model_uses_features(slot->version->model) ? shard_x(s, slot, sample) : NULL;
}

/* Its text goes to the store with the sample that comes first, learned, held or batched: nothing is stored of a
 * document without its name. Of a document that is only held it may go there several times. */
static void name_waiting_doc(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    struct doc_id id = doc_id_of(sample->doc);
    bool waits = slot->batches && batches_of(slot->batches, sample->doc) != BATCHES_NONE;
    if ((sample->kind == SAMPLE_NEW || sample_moved(sample)) && !waits && table_find(slot->table, id) == TABLE_NONE)
        note_doc(s, id, sample);
}

static uint64_t repairs_of(const struct version *v, const void *content)
{
    struct summary summary = {0};
    if (model_uses_features(v->model)) /* the others have no guard that mends */
        v->model->summarise(&v->config, content, &summary);
    return summary.repairs;
}

const void *shard_block_of(const struct version_slot *slot, struct hash128 doc)
{
    uint32_t number = table_find(slot->table, doc_id_of(doc));
    return number == TABLE_NONE ? NULL : table_block(slot->table, number);
}

bool shard_put_in(struct version_slot *slot, struct doc_id id, const struct example *samples, size_t count)
{
    const struct version *v = slot->version;
    size_t size = version_content_size(v);
    CLEANUP(block_copy_close) struct block_copy copy;
    void *content = block_copy_open(&copy, size);
    bool fresh;
    v->model->init(&v->config, content);
    uint32_t number = table_upsert(slot->table, id, content, &fresh);
    memcpy(content, table_block(slot->table, number), size);
    uint64_t before = repairs_of(v, content);
    v->model->learn(&v->config, content, samples, count);
    slot->repairs += repairs_of(v, content) - before;
    table_write(slot->table, number, content);
    table_mark_dirty(slot->table, number);
    return fresh;
}

struct learned {
    bool fresh;   /* the document had no parameters here */
    bool counted; /* and that is all: it is not admitted yet */
};

/* Of a version whose documents come and go. */
static struct learned learn_mortal(struct version_slot *slot, const struct sample *sample, const struct example *e)
{
    const struct version *v = slot->version;
    size_t size = version_content_size(v);
    struct learned did = {0};
    CLEANUP(block_copy_close) struct block_copy copy;
    void *content = block_copy_open(&copy, size);
    shard_begin_content(v, content);
    uint32_t number = table_upsert(slot->table, doc_id_of(sample->doc), content, &did.fresh);
    shard_owe_sweep(slot, did.fresh);
    if (!shard_has_expired(v, table_block(slot->table, number), sample))
        memcpy(content, table_block(slot->table, number), size);
    if (slot->judge && sample->kind == SAMPLE_NEW)
        shard_judge(slot, sample, content, e);
    uint64_t before = repairs_of(v, content);
    did.counted = !shard_learn_mortal(v, content, e, sample->sequence);
    slot->repairs += repairs_of(v, content) - before;
    table_write(slot->table, number, content);
    table_mark_dirty(slot->table, number);
    return did;
}

static struct learned learn_into(struct version_slot *slot, const struct sample *sample, const struct example *e)
{
    if (version_is_mortal(slot->version))
        return learn_mortal(slot, sample, e);
    if (slot->judge && sample->kind == SAMPLE_NEW)
        shard_judge(slot, sample, shard_block_of(slot, sample->doc), e);
    return (struct learned){.fresh = shard_put_in(slot, doc_id_of(sample->doc), e, 1)};
}

void shard_change_in(struct version_slot *slot, struct doc_id id, const struct example *before,
                     const struct example *after)
{
    const struct version *v = slot->version;
    size_t size = version_content_size(v);
    CLEANUP(block_copy_close) struct block_copy copy;
    void *content = block_copy_open(&copy, size);
    uint32_t number = table_find(slot->table, id);
    CHECK(number != TABLE_NONE);
    memcpy(content, table_block(slot->table, number), size);
    if (after)
        v->model->correct(&v->config, content, &(struct correction){*before, *after});
    else
        v->model->retract(&v->config, content, before);
    table_write(slot->table, number, content);
    table_mark_dirty(slot->table, number);
}

static void skip(struct sample_counts *c, uint64_t *reason)
{
    c->skipped++;
    ++*reason;
}

/* What the filters exclude is not learned, whatever its reward is. */
static void skip_unlearned(struct sample_counts *c, const struct sample *sample)
{
    skip(c, sample->excluded ? &c->skipped_filtered : &c->skipped_reward);
}

/* Returns whether the document has no parameters here, or had none. */
static bool learn_new(struct version_slot *slot, const struct sample *sample, const float *x)
{
    struct version_example e = version_example(slot->version, sample, sample->labels, sample->keep, x);
    if (!e.known || sample->excluded) {
        skip_unlearned(&slot->fresh, sample);
        return table_find(slot->table, doc_id_of(sample->doc)) == TABLE_NONE;
    }
    struct learned did = learn_into(slot, sample, &e.example);
    if (did.counted) {
        skip(&slot->fresh, &slot->fresh.skipped_admission);
        return did.fresh;
    }
    slot->fresh.learned++;
    slot->fresh.clamped += e.cut;
    return did.fresh;
}

/* From what the old labels and features say that the version has learned to what it should have: it has gone by the
 * original, and made of it what it could. */
static void learn_correction(struct version_slot *slot, const struct sample *sample, const struct sample_fit *fit)
{
    const struct version *v = slot->version;
    struct version_example before = version_example(v, sample, sample->old_labels, sample->old_keep, fit->x_was);
    struct version_example after = version_example(v, sample, sample->labels, sample->keep, fit->x_is);
    bool was_in = before.known && !sample->old_excluded && fit->was;
    bool is_in = after.known && !sample->excluded && fit->is;
    if (slot->judge)
        shard_judge_again(slot, sample, before.example.reward, after.example.reward);
    if (!was_in && !is_in) {
        skip_unlearned(&slot->corrections, sample);
        return;
    }
    if (!shard_has_learned(slot, sample)) {
        skip(&slot->corrections, &slot->corrections.skipped_gone);
        return;
    }
    if (!was_in)
        learn_into(slot, sample, &after.example);
    else if (!is_in || shard_differs(v, &before.example, &after.example))
        shard_change_in(slot, doc_id_of(sample->doc), &before.example, is_in ? &after.example : NULL);
    slot->corrections.learned++;
    slot->corrections.clamped += is_in && after.cut;
}

static void judge_again(struct version_slot *slot, const struct sample *sample)
{
    const struct version *v = slot->version;
    shard_judge_again(slot, sample,
                      version_example(v, sample, sample->old_labels, sample->old_keep, NULL).example.reward,
                      version_example(v, sample, sample->labels, sample->keep, NULL).example.reward);
}

/* The original was learned, and forgotten since. The prediction for it is judged by the right label all the same. */
static void pass_by_parameter(struct version_slot *slot, const struct sample *sample)
{
    skip(&slot->corrections, &slot->corrections.skipped_reset);
    if (slot->judge)
        judge_again(slot, sample);
}

/* The original may have been learned, judged, and passed by since; or it was refused from the beginning: whether the
 * prediction for it was judged is all that can still be told. */
static void pass_by_prediction(struct version_slot *slot, const struct sample *sample, uint64_t *reason)
{
    skip(&slot->corrections, reason);
    if (slot->judge && shard_has_judged(slot, sample))
        judge_again(slot, sample);
}

/* The version has gone by the original: learned it, or would have if its features had fitted. One that waits gets other
 * labels, mostly without a look at its features, unless they change, too; for any other they are read again. */
static void correct(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    struct sample_counts *c = &slot->corrections;
    cursor_pass(&slot->cursor, sample->sequence);
    if (sample->original < slot->encoded_from) { /* made for another encoder */
        pass_by_prediction(slot, sample, &c->skipped_reset);
        return;
    }
    if (slot->batches)
        shard_batches_pass_to(s, slot, sample->decided_at);
    bool moved = model_uses_features(slot->version->model) && sample_moved(sample);
    bool gone_by = cursor_learned(&slot->cursor, sample->original);
    if (gone_by && slot->batches && !moved && shard_batch_relabel(s, slot, sample))
        return;
    const struct sample_fit fit = gone_by ? shard_fit(s, slot, sample) : (struct sample_fit){0};
    if (!fit.was && !fit.is)
        pass_by_prediction(slot, sample, &c->skipped_original);
    else if (!version_is_mortal(slot->version) && resets_cut(&slot->resets, doc_id_of(sample->doc), sample->original) &&
             !shard_batch_has(slot, sample))
        pass_by_parameter(slot, sample);
    else if (!fit.is && !shard_can_take_out(slot, sample))
        shard_count_refusal(c, fit.refused);
    else if (slot->batches)
        shard_batch_correction(s, slot, sample, &fit);
    else
        learn_correction(slot, sample, &fit);
}

bool shard_learn(struct shard *s, struct version_slot *slot, const struct sample *sample, int64_t horizon)
{
    bool unknown = false;
    if (sample->kind == SAMPLE_CORRECTION) {
        correct(s, slot, sample);
        return false;
    }
    const float *x = features_for(s, slot, sample);
    if (slot->batches)
        shard_batch_new(s, slot, sample, x);
    else
        unknown = learn_new(slot, sample, x);
    cursor_learn(&slot->cursor, sample->sequence, horizon);
    return unknown;
}

/* A version that will skip it for want of a reward says so while the impression is at hand. */
static void tell_without_reward(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    double reward;
    if (slot->may_lack_reward && !sample->excluded && !reward_value(&slot->version->reward, sample->labels, &reward))
        shard_write_letter(s, sample, REASON_NO_REWARD);
}

/* Returns whether the version holds the sample. */
static bool offer(struct shard *s, struct version_slot *slot, const struct sample *sample,
                  struct sample_log_place place)
{
    (sample->kind == SAMPLE_NEW ? &slot->fresh : &slot->corrections)->samples++;
    if (sample->kind == SAMPLE_NEW && shard_refuse(s, slot, sample)) {
        if (slot_held(slot) == 0) /* gone by: features that come later make it one that is learned */
            cursor_learn(&slot->cursor, sample->sequence, joiner_expiry(s->joiner));
        return false;
    }
    if (sample->kind == SAMPLE_NEW)
        tell_without_reward(s, slot, sample);
    else
        shard_tell_unfit(s, slot, sample);
    if (slot_paused(s, slot) || slot_held(slot)) {
        name_waiting_doc(s, slot, sample);
        shard_hold(s, slot, sample, place);
        return true;
    }
    if (slot->batches || sample_moved(sample))
        name_waiting_doc(s, slot, sample);
    if (shard_learn(s, slot, sample, joiner_expiry(s->joiner)))
        note_doc(s, doc_id_of(sample->doc), sample);
    if (sample_moved(sample) && table_find(slot->table, doc_id_of(sample->doc)) == TABLE_NONE)
        shard_let_name_go(s, doc_id_of(sample->doc)); /* they changed nothing, or what waits */
    return false;
}

uint32_t shard_first_route(const struct shard *s, uint32_t source)
{
    uint32_t low = 0, high = s->routes;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->route[middle].source < source)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What a new sample needs beside its labels, or one whose features came late. */
static void complete(struct shard *s, struct sample *sample)
{
    bool is_new = sample->kind == SAMPLE_NEW, brings_features = sample_brings_features(sample);
    if (s->tables.count && is_new && !sample->late)
        shard_find_rows(s, sample);
    if (s->feature_slots && is_new)
        sample->late ? shard_bring_again(s, sample) : shard_bring_features(s, sample);
    if (s->feature_slots && brings_features)
        shard_mend_features(s, sample);
    if (s->judges && is_new)
        shard_judge_tell(s, sample);
    if (s->drawers && (is_new || brings_features))
        shard_name_document(sample);
}

void shard_take_sample(void *self, struct sample *sample)
{
    struct shard *s = self;
    uint32_t held = 0;
    complete(s, sample);
    struct sample_log_place place = sample_log_end(&s->log);
    sample_log_append(&s->log, sample);
    shard_archive(s, sample);
    if (s->options.sample)
        s->options.sample(s->options.context, s->options.id, sample);
    for (uint32_t i = shard_first_route(s, sample->version); i < s->routes; i++) {
        if (s->route[i].source != sample->version)
            break;
        held += offer(s, &s->slot[s->route[i].slot], sample, place);
    }
    s->brought += held ? held : 1;
}

/* Its features are kept like a sample's: it may become one. */
void shard_leave_out(void *self, struct sample *sample)
{
    struct shard *s = self;
    if (sample_brings_features(sample)) {
        if (s->feature_slots)
            shard_mend_features(s, sample);
        return;
    }
    if (s->tables.count)
        shard_find_rows(s, sample);
    if (s->feature_slots)
        shard_bring_features(s, sample);
    for (uint32_t i = shard_first_route(s, sample->version); i < s->routes; i++) {
        if (s->route[i].source != sample->version)
            break;
        struct sample_counts *c = &s->slot[s->route[i].slot].fresh;
        c->samples++;
        skip(c, &c->skipped_sampling);
    }
}

void shard_add_versions(struct shard *s)
{
    for (uint32_t i = s->slots; i < s->catalog.versions; i++) {
        const struct version *v = s->catalog.version[i];
        s->slot = mem_grow(s->slot, i + 1, sizeof *s->slot);
        s->slot[i] =
            (struct version_slot){.version = v,
                                  .table = table_open(version_content_size(v)),
                                  .horizon = WATERMARK_NONE,
                                  .may_lack_reward = !version_reward_range(&s->catalog.join, &v->reward).always};
        cursor_start(&s->slot[i].cursor, (s->joiner ? joiner_sequence(s->joiner) : 0) + 1);
        s->slots = i + 1;
        s->feature_slots += model_uses_features(v->model);
        s->slot[i].judge = v->validate ? shard_judge_open(s->options.id, v->id) : NULL;
        s->judges += v->validate;
        s->mortals += version_is_mortal(v);
        s->drawers += version_draws(v);
        shard_find_encoder(s, &s->slot[i]);
        shard_batches_open(s, &s->slot[i]);
        param_store_add(&s->params, v, s->slot[i].table);
    }
    plan_routes(s);
    publish_tables(s);
}
