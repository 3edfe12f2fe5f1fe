#include "tests/simulation/lessons.h"

#include <math.h>
#include <stdlib.h>

#include "tests/simulation/rewards.h"
#include "tests/simulation/world.h"

void lessons_close(struct lessons *l)
{
    for (uint32_t i = 0; i < LESSONS_VERSIONS_MAX; i++)
        waiting_close(&l->student[i].waiting);
    free(l->lesson);
}

static bool paused(const struct catalog *c, uint32_t version) { return c->state[version] == VERSION_PAUSED; }

/* What a version makes of labels: beta and lr learn rewards from 0 to 1. False: there is no reward. */
static bool example_of(const struct version *v, const struct sample *s, const double *labels, double keep,
                       const float *x, struct example *out, bool *cut)
{
    bool embedding = v->model == &model_embedding, squared = embedding && v->config.embedding.loss == LOSS_SQUARED;
    double reward = 0, high = v->model == &model_linear ? 1e9 : squared ? 1e6 : 1, low = high == 1 ? 0 : -high;
    bool known = world_reward_value(v->reward.text, labels, &reward);
    *cut = known && (reward < low || reward > high);
    bool shifted = model_uses_features(v->model) && v->model != &model_linear && !embedding; /* lr */
    *out = (struct example){.reward = fmax(low, fmin(high, reward)),
                            .weight = shifted ? s->weight : s->weight / keep,
                            .time = s->impression_time,
                            .offset = shifted ? -log(s->rate) : 0,
                            .item = s->item,
                            .x = x};
    return known;
}

static bool waits(const struct version *v) { return v->batch.samples > 1 || v->order == ORDER_EVENT_TIME; }

/* Documents come and go: those of embeddings that learn at once. */
static bool is_mortal(const struct version *v) { return v->model == &model_embedding && !waits(v); }

bool lessons_expired(const struct lessons *l, const struct version *v, uint32_t version, uint32_t doc, int64_t now)
{
    const struct student *me = &l->student[version];
    return is_mortal(v) && v->config.embedding.expire_after > 0 && me->known[doc] &&
           now - me->newest[doc] > v->config.embedding.expire_after;
}

/* A document that is new, or was forgotten, begins. */
static void begin(struct lessons *l, const struct version *v, uint32_t version, const struct lesson *lesson)
{
    struct student *me = &l->student[version];
    CHECK(v->model->block_size(&v->config) <= LESSONS_BLOCK_MAX);
    if (me->known[lesson->doc] && !lessons_expired(l, v, version, lesson->doc, lesson->sample.decided_at))
        return;
    v->model->init(&v->config, me->belief[lesson->doc]);
    me->life[lesson->doc]++;
    me->newest[lesson->doc] = INT64_MIN / 2;
    me->known[lesson->doc] = false;
}

static void put_in(struct lessons *l, const struct version *v, uint32_t version, struct lesson *original,
                   const struct example *e)
{
    struct student *me = &l->student[version];
    uint32_t doc = original->doc;
    if (e->time > me->newest[doc])
        me->newest[doc] = e->time;
    me->known[doc] = original->put[version] = true;
    v->model->learn(&v->config, me->belief[doc], e, 1);
    if (!is_mortal(v) || embedding_admitted(me->belief[doc]))
        original->life[version] = me->life[doc];
}

static enum joiner_reason refusal(const struct version *v, const struct encoder *encoder,
                                  const struct lesson_features *f);

/* Had the document begun, as it is now, when the version went by the sample? */
static bool had_begun(const struct lessons *l, uint32_t version, uint32_t doc, uint32_t at)
{
    for (uint32_t i = 0; i <= at; i++)
        if (l->lesson[i].doc == doc && l->lesson[i].life[version] > 0 &&
            l->lesson[i].life[version] == l->student[version].life[doc])
            return true;
    return false;
}

/* Do the parameters hold what a correction corrects? */
static bool is_held(const struct lessons *l, const struct version *v, uint32_t version, const struct lesson *correction)
{
    const struct lesson *original = &l->lesson[correction->sample.original - 1];
    if (!is_mortal(v))
        return true;
    bool held = original->fate[version] == LESSON_REFUSED && original->life[version] == 0
                    ? had_begun(l, version, original->doc, (uint32_t)(original - l->lesson))
                    : original->life[version] > 0 && original->life[version] == l->student[version].life[original->doc];
    return held && !lessons_expired(l, v, version, original->doc, correction->sample.decided_at);
}

static double prediction(const struct version *v, const void *belief, const float *x, int64_t time)
{
    double counts[2];
    struct score score;
    if (v->model == &model_beta) {
        v->model->values(&v->config, belief, time, counts);
        return counts[0] / (counts[0] + counts[1]);
    }
    v->model->score(&v->config, belief, x, time, &score);
    return score.expected;
}

/* Before it is learned. */
static void judge(struct lessons *l, const struct version *v, uint32_t version, struct lesson *lesson,
                  const struct example *e)
{
    struct student *me = &l->student[version];
    const struct sample *s = &lesson->sample;
    const void *belief = me->known[lesson->doc] ? me->belief[lesson->doc] : NULL;
    lesson->judgement[version] = (struct judgement){
        .reward = e->reward, .weight = s->weight / s->keep, .time = s->impression_time, .request = s->request};
    if (v->model == &model_linear) {
        struct predictive foretold;
        v->model->predict(&v->config, belief, e->x, e->time, &foretold);
        lesson->judgement[version].unit = v->config.noise_sd;
        lesson->judgement[version].scale = (float)foretold.scale;
        lesson->judgement[version].freedom = (float)foretold.freedom;
    }
    judging_new(&me->jury, &lesson->judgement[version], VALIDATION_PREQUENTIAL, prediction(v, belief, e->x, e->time));
    if (s->version == v->id && !isnan(s->score))
        judging_new(&me->jury, &lesson->judgement[version], VALIDATION_SERVED, s->score);
}

/* Corrections cannot be refused for their weight: it is cut. What is excluded weighs nothing. */
static double judged_weight(const struct sample *s, double keep, bool excluded)
{
    return excluded ? 0 : fmin(s->weight / keep, 1048576);
}

static void judge_again(struct jury *jury, struct judgement *j, const struct sample *s, double before, double after)
{
    double weight = judged_weight(s, s->keep, s->excluded);
    if (before != after || judged_weight(s, s->old_keep, s->old_excluded) != weight)
        judging_correct(jury, j, after, weight);
}

/* The original came before another encoder, or fits no more: what was predicted of it is judged by its label of now all
 * the same. */
static void pass_by_prediction(struct student *me, const struct version *v, uint32_t version, struct lesson *lesson,
                               struct lesson *original)
{
    const struct sample *s = &lesson->sample;
    struct judgement *j = &original->judgement[version];
    struct example was, now;
    bool ignored;
    example_of(v, s, s->old_labels, s->old_keep, NULL, &was, &ignored);
    example_of(v, s, s->labels, s->keep, NULL, &now, &ignored);
    if (j->judged[VALIDATION_SERVED] || j->judged[VALIDATION_PREQUENTIAL])
        judge_again(&me->jury, j, s, was.reward, now.reward);
}

static bool dealt_with(const struct lesson *x, uint32_t version)
{
    return x->fate[version] == LESSON_LEARNED || x->fate[version] == LESSON_REWARD ||
           x->fate[version] == LESSON_FILTERED;
}

/* Did x itself come? */
static bool is_encoded(const struct encoder *encoder, const struct lesson_features *f)
{
    return f->named && strcmp(f->representation, encoder_representation(encoder).text) == 0;
}

/* What the version learns from: room, or the features themselves. */
static const float *input_of(const struct encoder *encoder, const struct lesson_features *f, float *room)
{
    const struct encoder_input row = {.dense = f->x};
    if (!encoder || is_encoded(encoder, f))
        return f->x;
    float *tile = mem_new(encoder_room(encoder), sizeof *tile);
    encoder_run(encoder, &row, 1, tile, room);
    free(tile);
    return room;
}

static bool has(const struct lesson *x, uint32_t version)
{
    return dealt_with(x, version) || x->fate[version] == LESSON_BATCHED || x->fate[version] == LESSON_ADMISSION ||
           (x->fate[version] == LESSON_REFUSED && x->gone_by[version]);
}

static bool differ(const struct version *v, const struct example *a, const struct example *b)
{
    bool same = !model_uses_features(v->model) || memcmp(a->x, b->x, v->config.dimension * sizeof *a->x) == 0;
    return a->reward != b->reward || a->weight != b->weight || !same;
}

/* Into the parameters at once: from what it was, if it was in them, to what it is, if it is to be. */
static void apply(struct lessons *l, const struct version *v, uint32_t version, struct lesson *lesson,
                  const struct example *was, const struct example *now)
{
    bool correction = lesson->sample.kind == SAMPLE_CORRECTION;
    struct lesson *original = correction ? &l->lesson[lesson->sample.original - 1] : lesson;
    void *belief = l->student[version].belief[lesson->doc];
    if (correction && !is_held(l, v, version, lesson)) {
        lesson->fate[version] = LESSON_GONE;
    } else if (was && !now) {
        v->model->retract(&v->config, belief, was);
    } else if (was && differ(v, was, now)) {
        v->model->correct(&v->config, belief, &(struct correction){*was, *now});
    } else if (!was && now) {
        if (correction)
            begin(l, v, version, original);
        put_in(l, v, version, original, now);
        if (is_mortal(v) && original->life[version] == 0)
            lesson->fate[version] = LESSON_ADMISSION;
    }
}

static void learn(struct lessons *l, const struct catalog *c, uint32_t version, struct lesson *lesson)
{
    const struct version *v = c->version[version];
    const struct sample *s = &lesson->sample;
    struct lesson *original = s->kind == SAMPLE_NEW ? lesson : &l->lesson[s->original - 1];
    float room[LESSONS_VALUES_MAX], old_room[LESSONS_VALUES_MAX];
    if (s->kind == SAMPLE_CORRECTION && s->original <= l->student[version].encoded_from) {
        lesson->fate[version] = LESSON_RESET;
        pass_by_prediction(&l->student[version], v, version, lesson, original);
        return;
    }
    const struct encoder *encoder = l->student[version].encoder;
    bool correction = s->kind == SAMPLE_CORRECTION, uses = model_uses_features(v->model);
    bool fits = refusal(v, encoder, &lesson->features) == REASON_NONE;
    bool fitted = correction && refusal(v, encoder, &lesson->was) == REASON_NONE;
    const float *x = fits && uses ? input_of(encoder, &lesson->features, room) : NULL;
    const float *old_x = fitted && uses ? input_of(encoder, &lesson->was, old_room) : x;
    x = x ? x : old_x;
    struct example was, now;
    bool ignored, is = example_of(v, s, s->labels, s->keep, x, &now, &lesson->cut[version]);
    bool had = correction && example_of(v, s, s->old_labels, s->old_keep, old_x, &was, &ignored);
    bool filtered = s->excluded;
    now.item = original->sample.item; /* which a correction does not carry */
    had = had && !s->old_excluded && fitted;
    is = is && !s->excluded && fits;
    lesson->cut[version] = lesson->cut[version] && is;
    if (waits(v) && (s->kind == SAMPLE_CORRECTION ? v->order == ORDER_ARRIVAL : true))
        waiting_pass(l, c, version, v->order == ORDER_ARRIVAL ? s->decided_at : s->impression_time);
    if (correction && (!has(original, version) || (!fits && !fitted))) {
        lesson->fate[version] = LESSON_ORIGINAL;
        pass_by_prediction(&l->student[version], v, version, lesson, original);
        return;
    }
    bool gone = (original->forgotten[version] || original->before_reset[version]) &&
                !waiting_has(&l->student[version].waiting, (uint32_t)(original - l->lesson));
    if (s->kind == SAMPLE_NEW && is && !waits(v))
        begin(l, v, version, lesson);
    if (correction && !gone && !fits && !v->model->retract &&
        !waiting_unlearned(&l->student[version].waiting, v, (uint32_t)(original - l->lesson))) {
        lesson->fate[version] = LESSON_REFUSED;
        lesson->refused[version] = refusal(v, encoder, &lesson->features);
        return;
    }
    lesson->fate[version] = gone        ? LESSON_RESET
                            : had || is ? LESSON_LEARNED
                            : filtered  ? LESSON_FILTERED
                                        : LESSON_REWARD;
    if (v->validate && s->kind == SAMPLE_NEW && is)
        judge(l, v, version, lesson, &now);
    else if (v->validate && correction)
        judge_again(&l->student[version].jury, &original->judgement[version], s, was.reward, now.reward);
    if (gone)
        return;
    if (correction && uses && s->place.row != s->old_place.row)
        lesson->mended[version] = !fitted ? MENDED_IN : !fits ? MENDED_OUT : MENDED_X;
    if (waits(v)) {
        waiting_take(l, c, version, (uint32_t)(lesson - l->lesson), &was, &now, fitted, fits);
        waiting_keep_bound(l, c);
        return;
    }
    apply(l, v, version, lesson, had ? &was : NULL, is ? &now : NULL);
}

static enum joiner_reason refusal(const struct version *v, const struct encoder *encoder,
                                  const struct lesson_features *f)
{
    bool raw = encoder && !is_encoded(encoder, f);
    if (!model_uses_features(v->model))
        return REASON_NONE;
    if (!f->there)
        return REASON_NO_FEATURES;
    if (f->named && (raw || (!encoder && v->representation[0])) && strcmp(v->representation, f->representation) != 0)
        return REASON_WRONG_REPRESENTATION;
    if (f->broken || f->count > v->config.dimension || (!f->sparse && f->count < v->config.dimension))
        return REASON_WRONG_DIMENSION;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->x[i] > 1e6f || f->x[i] < -1e6f)
            return REASON_FEATURE_RANGE;
    return f->weight > 1e6 ? REASON_FEATURE_RANGE : REASON_NONE;
}

static bool listens(const struct version *v, uint32_t source)
{
    for (uint32_t k = 0; k < v->samples_from_count; k++)
        if (v->samples_from[k] == source)
            return true;
    return false;
}

bool lessons_take_features(const struct lessons *l, const struct catalog *c, uint32_t source,
                           const struct lesson_features *features)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (listens(c->version[i], source) && model_uses_features(c->version[i]->model) &&
            refusal(c->version[i], l->student[i].encoder, features) == REASON_NONE)
            return true;
    return false;
}

static bool somebody_learns_from_features(const struct catalog *c)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (model_uses_features(c->version[i]->model))
            return true;
    return false;
}

bool lessons_keep_features(const struct lessons *l, const struct catalog *c, uint32_t source,
                           const struct lesson_features *f)
{
    return somebody_learns_from_features(c) && f->packed > 0 && (f->open || lessons_take_features(l, c, source, f));
}

/* A correction that brings features says that their place is another one than it was. */
static void count_bytes(struct lessons *l, struct lesson *lesson)
{
    CLEANUP(buffer_close) struct buffer encoded = {0};
    struct sample *s = &lesson->sample;
    bool moved = s->place.row != s->old_place.row;
    if (!moved)
        s->place.row = s->old_place.row = lesson->features.kept;
    if (moved || (s->kind == SAMPLE_NEW && lesson->features.kept))
        s->feature_bytes = lesson->features.packed;
    sample_encode(s, &encoded);
    l->bytes += encoded.size + s->feature_bytes;
}

static void note_features(struct lessons *l, struct lesson *lesson, const struct lesson_features *features)
{
    uint32_t at = (uint32_t)(lesson - l->lesson);
    struct lesson *original = lesson->sample.kind == SAMPLE_NEW ? lesson : &l->lesson[lesson->sample.original - 1];
    if (lesson->sample.kind == SAMPLE_CORRECTION)
        lesson->was = lesson->features = l->lesson[original->latest].features;
    if (features)
        lesson->features = *features;
    original->latest = at;
}

/* Why a record of features is set aside: for the version the sample fitted, and does with them no more. */
static enum joiner_reason unfit(const struct version *v, const struct encoder *encoder, const struct lesson *lesson)
{
    bool fitted = refusal(v, encoder, &lesson->was) == REASON_NONE;
    return fitted ? refusal(v, encoder, &lesson->features) : REASON_NONE;
}

enum joiner_reason lessons_add(struct lessons *l, const struct catalog *c, const struct sample *sample, uint32_t doc,
                               const struct lesson_features *features)
{
    uint32_t holders = 0, at = l->lessons++;
    enum joiner_reason refused = REASON_NONE;
    double reward;
    l->lesson = mem_grow(l->lesson, l->lessons, sizeof *l->lesson);
    struct lesson *lesson = &l->lesson[at];
    *lesson = (struct lesson){.sample = *sample, .doc = doc, .before = l->bytes};
    note_features(l, lesson, features);
    for (uint32_t i = 0; features && i < c->versions; i++) {
        lesson->sample.told |= c->version[i]->validate && sample->kind == SAMPLE_NEW; /* who holds it may be judged */
        lesson->sample.named |= c->version[i]->model == &model_embedding;
    }
    if (lesson->sample.named)
        lesson->sample.item = draw_key(bytes_text(world_doc(doc)));
    count_bytes(l, lesson);
    for (uint32_t i = 0; i < c->versions; i++) {
        struct student *me = &l->student[i];
        if (!listens(c->version[i], sample->version))
            continue;
        if (sample->kind == SAMPLE_NEW && refusal(c->version[i], me->encoder, features) != REASON_NONE) {
            lesson->gone_by[i] = me->held == 0;
            lesson->fate[i] = LESSON_REFUSED;
            lesson->refused[i] = refusal(c->version[i], me->encoder, features);
            refused = refused ? refused : lesson->refused[i];
            continue;
        }
        if (sample->kind == SAMPLE_CORRECTION && features && !refused)
            refused = unfit(c->version[i], me->encoder, lesson);
        if (sample->kind == SAMPLE_NEW && !sample->excluded &&
            !world_reward_value(c->version[i]->reward.text, sample->labels, &reward))
            refused = refused ? refused : REASON_NO_REWARD;
        if (!paused(c, i) && me->held == 0) {
            learn(l, c, i, lesson);
            continue;
        }
        if (me->held++ == 0)
            me->at = at;
        lesson->fate[i] = LESSON_HELD;
        holders++;
    }
    l->brought += holders ? holders : 1;
    return refused;
}

void lessons_leave_out(struct lessons *l, const struct catalog *c, uint32_t version)
{
    for (uint32_t i = 0; i < c->versions; i++)
        l->student[i].left_out += listens(c->version[i], version);
}

void lessons_discard(struct lessons *l, uint32_t version)
{
    for (uint32_t i = 0; i < l->lessons; i++)
        if (l->lesson[i].fate[version] == LESSON_HELD && l->lesson[i].sample.kind == SAMPLE_NEW)
            l->student[version].discarded = l->lessons;
    for (uint32_t i = 0; i < l->lessons; i++)
        if (l->lesson[i].fate[version] == LESSON_HELD && l->lesson[i].sample.kind == SAMPLE_NEW) {
            l->lesson[i].fate[version] = LESSON_DISCARDED;
            l->student[version].held--;
        }
}

/* Every sample that it had to do with so far, even one that it did not learn: its corrections have nothing to correct. */
void lessons_reset(struct lessons *l, const struct version *v, uint32_t version, uint32_t doc)
{
    struct student *me = &l->student[version];
    if (is_mortal(v)) { /* as if it had never come */
        me->life[doc]++;
        me->known[doc] = false;
        return;
    }
    for (uint32_t i = 0; i < l->lessons; i++) {
        struct lesson *x = &l->lesson[i];
        if (x->doc != doc || x->sample.kind != SAMPLE_NEW)
            continue;
        x->forgotten[version] |= dealt_with(x, version) || (x->fate[version] == LESSON_REFUSED && x->gone_by[version]);
        x->before_reset[version] |= x->fate[version] == LESSON_BATCHED;
    }
    if (me->known[doc])
        v->model->init(&v->config, me->belief[doc]);
}

/* Whatever was made before is not asked for again. */
void lessons_encode(struct lessons *l, const struct version *v, uint32_t version, const struct encoder *encoder,
                    bool anew)
{
    l->student[version].encoder = encoder;
    if (!anew)
        return;
    lessons_discard(l, version);
    waiting_forget(l, v, version);
    for (uint32_t doc = 0; doc < LESSONS_DOCS_MAX; doc++)
        lessons_reset(l, v, version, doc);
    l->student[version].encoded_from = l->lessons;
}

static bool goes_on(const struct lessons *l, const struct catalog *c, uint32_t version)
{
    const struct student *me = &l->student[version];
    if (me->held == 0)
        return false;
    return !paused(c, version) || l->bytes - l->lesson[me->at].before > catalog_limits(c).held_bytes;
}

bool lessons_behind(const struct lessons *l, const struct catalog *c)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (goes_on(l, c, i))
            return true;
    return false;
}

/* What it refused while it held others it goes by like them, but where samples are skipped. */
static void go_by(struct lessons *l, const struct catalog *c, uint32_t version, uint32_t at)
{
    struct lesson *lesson = &l->lesson[at];
    if (lesson->fate[version] == LESSON_REFUSED && at >= l->student[version].discarded)
        lesson->gone_by[version] = !paused(c, version);
}

/* Returns whether the version had something to do with the sample. */
static bool take(struct lessons *l, const struct catalog *c, uint32_t version, uint32_t at)
{
    struct student *me = &l->student[version];
    struct lesson *lesson = &l->lesson[at];
    me->at++;
    if (lesson->fate[version] != LESSON_HELD) {
        go_by(l, c, version, at);
        return false;
    }
    me->held--;
    if (paused(c, version) && lesson->sample.kind == SAMPLE_NEW)
        lesson->fate[version] = LESSON_LIMIT;
    else
        learn(l, c, version, lesson);
    for (uint32_t i = at + 1; me->held == 0 && i < l->lessons; i++)
        if (l->lesson[i].fate[version] == LESSON_REFUSED && i >= me->discarded)
            l->lesson[i].gone_by[version] = true;
    return true;
}

/* Reading goes on from the lowest place on, also over samples at which nobody stands. */
void lessons_end_block(struct lessons *l, const struct catalog *c, int64_t gate)
{
    uint64_t left = catalog_limits(c).slice + l->brought;
    uint32_t at = UINT32_MAX;
    l->brought = 0;
    for (uint32_t i = 0; i < c->versions; i++)
        if (goes_on(l, c, i) && l->student[i].at < at)
            at = l->student[i].at;
    for (; left > 0 && lessons_behind(l, c); at++) {
        uint32_t takers = 0;
        for (uint32_t i = 0; i < c->versions; i++)
            if (goes_on(l, c, i) && l->student[i].at == at)
                takers += take(l, c, i, at);
        uint64_t cost = takers ? takers : 1;
        left -= cost < left ? cost : left;
    }
    for (uint32_t i = 0; i < c->versions && gate != WATERMARK_NONE; i++)
        if (waits(c->version[i]) && !paused(c, i) && l->student[i].held == 0)
            waiting_pass(l, c, i, gate);
}

uint32_t lessons_needed(const struct lessons *l, const struct catalog *c)
{
    uint32_t needed = UINT32_MAX;
    for (uint32_t i = 0; i < c->versions; i++)
        if (l->student[i].held && l->student[i].at < needed)
            needed = l->student[i].at;
    return needed;
}

void lessons_count(const struct lessons *l, uint32_t version, struct sample_counts *fresh,
                   struct sample_counts *corrections)
{
    *fresh = *corrections = (struct sample_counts){0};
    fresh->samples = fresh->skipped = fresh->skipped_sampling = l->student[version].left_out;
    for (uint32_t i = 0; i < l->lessons; i++) {
        struct sample_counts *c = l->lesson[i].sample.kind == SAMPLE_NEW ? fresh : corrections;
        enum lesson_fate fate = l->lesson[i].fate[version];
        c->samples += fate != LESSON_NONE;
        c->held += fate == LESSON_HELD;
        c->batched += fate == LESSON_BATCHED;
        c->learned += fate == LESSON_LEARNED;
        c->skipped += fate > LESSON_LEARNED;
        c->skipped_discarded += fate == LESSON_DISCARDED;
        c->skipped_limit += fate == LESSON_LIMIT;
        c->skipped_original += fate == LESSON_ORIGINAL;
        c->skipped_reset += fate == LESSON_RESET;
        c->skipped_reward += fate == LESSON_REWARD;
        c->skipped_admission += fate == LESSON_ADMISSION;
        c->skipped_gone += fate == LESSON_GONE;
        c->skipped_filtered += fate == LESSON_FILTERED;
        bool waited = l->lesson[i].waiter[version] > 0; /* it was counted when it came */
        c->clamped += (fate == LESSON_LEARNED || waited) && l->lesson[i].cut[version];
        enum joiner_reason refused = l->lesson[i].refused[version];
        c->skipped_no_features += refused == REASON_NO_FEATURES;
        c->skipped_dimension += refused == REASON_WRONG_DIMENSION;
        c->skipped_range += refused == REASON_FEATURE_RANGE;
        c->skipped_representation += refused == REASON_WRONG_REPRESENTATION;
    }
}

/* The newest sample that tells the version of this one's labels. */
static const struct sample *newest_of(const struct lessons *l, uint32_t version, uint32_t at)
{
    const struct sample *newest = &l->lesson[at].sample;
    for (uint32_t i = at + 1; i < l->lessons; i++)
        if (l->lesson[i].sample.original == at + 1 && dealt_with(&l->lesson[i], version))
            newest = &l->lesson[i].sample;
    return newest;
}

/* As if each sample had been learned once, with the reward that it has in the end. */
struct lessons_sum lessons_sum(const struct lessons *l, const struct version *v, uint32_t version, uint32_t doc)
{
    struct lessons_sum sum = {0};
    for (uint32_t i = 0; i < l->lessons; i++) {
        const struct lesson *x = &l->lesson[i];
        if (x->doc == doc && x->put[version] && !x->forgotten[version] &&
            (!sum.known || x->sample.impression_time > sum.time)) {
            sum.known = true;
            sum.time = x->sample.impression_time;
        }
    }
    for (uint32_t i = 0; i < l->lessons; i++) {
        const struct lesson *x = &l->lesson[i];
        struct example e;
        bool ignored;
        if (x->doc != doc || !x->put[version] || x->forgotten[version] || !dealt_with(x, version))
            continue;
        const struct sample *newest = newest_of(l, version, i);
        sum.mass += x->sample.weight + x->sample.weight / x->sample.keep;
        if (newest->excluded || !example_of(v, &x->sample, newest->labels, newest->keep, NULL, &e, &ignored))
            continue;
        double w = e.weight * exp(-v->config.decay_per_ms * (double)(sum.time - e.time));
        sum.s += w * e.reward;
        sum.f += w * (1 - e.reward);
        sum.positives += e.reward >= 0.5;
        sum.negatives += e.reward < 0.5;
    }
    return sum;
}
