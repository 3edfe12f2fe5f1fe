/* Random worlds against the oracle: the pure parts of the server (sequencer, blocks, shards, joiner, learner,
 * commits) live through crashes, and every sample, fate, parameter and ack is compared with the naive truth.
 *
 *   test_simulation                 10,000 cases from seed 1; 2,500 under a sanitizer, which makes them slow
 *   test_simulation --cases N --first SEED
 *   test_simulation --seed SEED     one case; when it fails it is made small and printed
 *
 * Cases run in child processes, so that a stopped process (CHECK, sanitizer) is a failing case like any other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "tests/simulation/gateway.h"
#include "tests/simulation/mill.h"
#include "tests/simulation/random.h"
#include "tests/simulation/replay.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CASES_DEFAULT = 2500 };
#else
enum { CASES_DEFAULT = 10000 };
#endif

struct totals {
    uint64_t seed; /* of the case that runs */
    uint64_t cases, crashes, blocks, events, items, sharing, samples, corrections, fates[REASON_COUNT];
    uint64_t left_out, lessons[LESSON_REFUSED + 1]; /* per version */
    uint64_t late_features, mended[MENDED_OUT + 1];
    uint64_t encoded_anew;                    /* versions in shards */
    uint64_t held_at_marks, batched_at_marks; /* samples held, batched, summed over all blocks */
    struct batch_counts batches;
    uint64_t worlds[WORLD_TRAITS]; /* that have it */
};

/* ---- one case ---- */

static void crash(struct gateway *g, struct mill *m, const struct act *a, struct totals *t)
{
    gateway_crash(g, a->amount % (g->writes + 1));
    mill_crash(m, a->luck % (m->store.n_pending + 1), 1 + (a->who + a->amount) % WORLD_THREADS_MAX);
    t->crashes++;
}

static void play(struct gateway *g, struct mill *m, struct totals *t)
{
    for (uint32_t i = 0; i < g->world->acts; i++) {
        const struct act *a = &g->world->act[i];
        if (a->dropped)
            continue;
        switch (a->kind) {
        case ACT_HAND_OVER: mill_apply(m, a->who % m->threads, 1 + a->amount % 6); break;
        case ACT_COMMIT: mill_commit(m, a->who % m->shards); break;
        case ACT_SYNC: mill_sync(m); break;
        case ACT_CRASH: crash(g, m, a, t); break;
        default: gateway_act(g, a);
        }
    }
}

/* The same log once more by other threads, with other commits, and with other crashes or none: the same bytes. */
static void play_again(struct history *h, const struct mill *first)
{
    struct mill m;
    struct random r = {h->world->seed ^ UINT64_C(0xabcdef)};
    bool crashes = random_chance(&r, 50);
    mill_open(&m, h, 1 + (first->threads + random_below(&r, 2)) % WORLD_THREADS_MAX);
    for (uint32_t i = 0; i < 2 * h->blocks; i++) {
        mill_apply(&m, random_below(&r, m.threads), 1 + random_below(&r, 4));
        if (random_chance(&r, 40))
            mill_commit(&m, random_below(&r, m.shards));
        if (crashes && random_chance(&r, 5))
            mill_crash(&m, random_below(&r, m.store.n_pending + 1), 1 + random_below(&r, WORLD_THREADS_MAX));
    }
    mill_finish(&m);
    mill_compare(&m, first);
    if (!memory_table_equal(&m.store.table[STORE_DEAD_LETTER], &first->store.table[STORE_DEAD_LETTER]))
        mismatch("other threads and commits keep other dead letters");
    mill_close(&m);
}

static void tally(const struct history *h, struct totals *t)
{
    t->cases++;
    t->blocks += h->blocks;
    for (uint32_t i = 0; i < h->blocks; i++)
        for (uint32_t k = 0; k < h->world->shards; k++)
            for (uint32_t v = 0; v < h->world->versions; v++) {
                const struct shard_mark *m = &h->mark[i]->shard[k];
                t->held_at_marks += m->fresh[v].held + m->corrections[v].held;
                t->batched_at_marks += m->fresh[v].batched + m->corrections[v].batched;
            }
    for (uint32_t i = 0; i < h->world->shards; i++) {
        const struct oracle_shard *s = oracle_shard(h->oracle, i);
        t->events += s->records;
        t->samples += s->lessons.lessons;
        for (uint32_t k = 0; k < s->lessons.lessons; k++) {
            t->corrections += s->lessons.lesson[k].sample.kind == SAMPLE_CORRECTION;
            for (uint32_t v = 0; v < h->world->versions; v++) {
                t->lessons[s->lessons.lesson[k].fate[v]]++;
                t->mended[s->lessons.lesson[k].mended[v]]++;
            }
            t->late_features += s->lessons.lesson[k].sample.place.row != s->lessons.lesson[k].sample.old_place.row;
        }
        for (uint32_t v = 0; v < h->world->versions; v++) {
            t->left_out += s->lessons.student[v].left_out;
            t->encoded_anew += s->lessons.student[v].encoded_from > 0;
#define C(name, help) t->batches.name += s->lessons.student[v].waiting.fired.name;
            BATCH_COUNTS(C)
#undef C
        }
        for (uint32_t k = 0; k < s->records; k++) {
            t->fates[oracle_letter(&s->record[k])]++;
            t->items += s->record[k].shared.size > 0;
            t->sharing += s->record[k].shared_counts < s->record[k].shared.size;
        }
    }
}

static void run_world(const struct world *w, struct totals *t)
{
    for (int i = 0; i < WORLD_TRAITS; i++)
        t->worlds[i] += world_has(w, (enum world_trait)i);

    struct history h;
    struct gateway g;
    struct mill m;
    history_open(&h, w);
    gateway_open(&g, w, &h);
    mill_open(&m, &h, w->threads);
    play(&g, &m, t);
    gateway_finish(&g);
    mill_finish(&m);
    play_again(&h, &m);
    tally(&h, t);
    mill_close(&m);
    gateway_close(&g);
    history_close(&h);
}

/* ---- children ---- */

/* Run in a child what may die. Returns whether it ended well. */
static bool survives(void (*body)(void *context), void *context, bool quiet)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (quiet && (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout)))
            _exit(MISMATCH_EXIT);
        body(context);
        rcu_settle();
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct range {
    uint64_t first, cases;
    struct totals *totals; /* shared with the child */
};

static void run_range(void *context)
{
    const struct range *r = context;
    for (uint64_t i = 0; i < r->cases; i++) {
        struct world w;
        r->totals->seed = r->first + i;
        world_make(&w, r->totals->seed);
        run_world(&w, r->totals);
        world_close(&w);
    }
}

static void run_one(void *context)
{
    struct totals t = {0};
    run_world(context, &t);
}

/* ---- making a failing case small ---- */

/* Leave things out while it still fails: halves, quarters, ... single ones. */
static void shrink(struct world *w, uint32_t count, bool *(*flag)(struct world *w, uint32_t i))
{
    bool **was = mem_new(count + 1, sizeof(bool *));
    for (uint32_t step = count / 2; step >= 1; step /= 2)
        for (uint32_t from = 0; from < count; from += step) {
            uint32_t n = 0;
            for (uint32_t i = from; i < from + step && i < count; i++)
                if (!*flag(w, i))
                    *(was[n++] = flag(w, i)) = true;
            if (n > 0 && survives(run_one, w, true))
                while (n > 0)
                    *was[--n] = false;
        }
    free(was);
}

static bool *act_flag(struct world *w, uint32_t i) { return &w->act[i].dropped; }
static bool *event_flag(struct world *w, uint32_t i) { return &w->event_dropped[i]; }

static int explain(uint64_t seed)
{
    struct world w;
    world_make(&w, seed);
    if (survives(run_one, &w, false)) {
        printf("seed %" PRIu64 ": passes\n", seed);
        world_close(&w);
        return 0;
    }
    printf("seed %" PRIu64 " fails; making it small...\n", seed);
    for (int round = 0; round < 2; round++) {
        shrink(&w, w.acts, act_flag);
        shrink(&w, w.events, event_flag);
    }
    world_print(&w);
    fflush(stdout);
    survives(run_one, &w, false);
    printf("again: test_simulation --seed %" PRIu64 ", or, as it is now, --replay a file of these lines:\n", seed);
    replay_print(&w, stdout);
    world_close(&w);
    return 1;
}

static int replay(const char *path)
{
    struct world w;
    replay_read(path, &w);
    bool passes = survives(run_one, &w, false);
    printf("%s: %s\n", path, passes ? "passes" : "fails");
    world_close(&w);
    return !passes;
}

static void print_coverage(const struct totals *t)
{
    printf("worlds with");
    for (int i = 0; i < WORLD_TRAITS; i++)
        printf("%s %" PRIu64 " %s", i ? "," : "", t->worlds[i], world_trait_name((enum world_trait)i));
    printf("\n");
}

static int run_cases(uint64_t first, uint64_t cases)
{
    struct timespec from, to;
    struct totals *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(t != MAP_FAILED);
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (!survives(run_range, &(struct range){first, cases, t}, false))
        return explain(t->seed) ? 1 : (printf("seed %" PRIu64 " failed only in company\n", t->seed), 1);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%" PRIu64 " cases, %" PRIu64 " crashes, %" PRIu64 " blocks, %" PRIu64 " events, %" PRIu64
           " samples (%" PRIu64 " corrections), 0 mismatches, %.1f s\n",
           t->cases, t->crashes, t->blocks, t->events, t->samples, t->corrections,
           (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    printf("%" PRIu64 " events were items of records, %" PRIu64 " with others in their shard\n", t->items, t->sharing);
    printf("set aside: %" PRIu64 " late, %" PRIu64 " orphaned, %" PRIu64 " duplicate, %" PRIu64
           " version mismatch, %" PRIu64 " too many, %" PRIu64 " shed, %" PRIu64 " by a rule, %" PRIu64
           " preceding, %" PRIu64 " of robots\n",
           t->fates[REASON_LATE], t->fates[REASON_ORPHANED], t->fates[REASON_DUPLICATE],
           t->fates[REASON_VERSION_MISMATCH], t->fates[REASON_TOO_MANY_ACTIONS], t->fates[REASON_SHED],
           t->fates[REASON_RULE], t->fates[REASON_PRECEDES], t->fates[REASON_ROBOT]);
    printf("refused: %" PRIu64 " without features, %" PRIu64 " of another dimension, %" PRIu64 " out of range, %" PRIu64
           " of another representation\n",
           t->fates[REASON_NO_FEATURES], t->fates[REASON_WRONG_DIMENSION], t->fates[REASON_FEATURE_RANGE],
           t->fates[REASON_WRONG_REPRESENTATION]);
    printf("by versions: %" PRIu64 " learned, %" PRIu64 " discarded, %" PRIu64 " beyond the limit, %" PRIu64
           " without an original, %" PRIu64 " without a reward, %" PRIu64 " by a filter of samples, %" PRIu64
           " before admission, %" PRIu64 " no longer in the parameters, %" PRIu64 " left out by sampling, %" PRIu64
           " of what was reset, %" PRIu64 " held in the end, %.1f held at a block, %" PRIu64 " with another encoder\n",
           t->lessons[LESSON_LEARNED], t->lessons[LESSON_DISCARDED], t->lessons[LESSON_LIMIT],
           t->lessons[LESSON_ORIGINAL], t->lessons[LESSON_REWARD], t->lessons[LESSON_FILTERED],
           t->lessons[LESSON_ADMISSION], t->lessons[LESSON_GONE], t->left_out, t->lessons[LESSON_RESET],
           t->lessons[LESSON_HELD], (double)t->held_at_marks / (double)t->blocks, t->encoded_anew);
    printf("features came late for %" PRIu64 " samples; for versions over features %" PRIu64 " others, %" PRIu64
           " make a sample learned, %" PRIu64 " one not learned\n",
           t->late_features, t->mended[MENDED_X], t->mended[MENDED_IN], t->mended[MENDED_OUT]);
    printf("batches: %" PRIu64 " by samples, %" PRIu64 " by ratio, %" PRIu64 " by age, %" PRIu64
           " early, %.1f waiting at a block; turns: %" PRIu64 " early, %" PRIu64 " behind\n",
           t->batches.samples, t->batches.ratio, t->batches.age, t->batches.room,
           (double)t->batched_at_marks / (double)t->blocks, t->batches.turns, t->batches.behind);
    print_coverage(t);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t cases = CASES_DEFAULT, first = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--replay") == 0)
            return replay(argv[i + 1]);
        if (strcmp(argv[i], "--seed") == 0)
            return explain(number);
        if (strcmp(argv[i], "--cases") == 0)
            cases = number;
        else if (strcmp(argv[i], "--first") == 0)
            first = number;
        else
            argc = 0;
    }
    if (argc % 2 == 0) {
        fprintf(stderr, "usage: test_simulation [--cases N] [--first SEED] | --seed SEED | --replay FILE\n");
        return 2;
    }
    return run_cases(first, cases);
}
