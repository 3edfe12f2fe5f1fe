/* Labels as scenarios: what happens goes in, a line an event; samples and what was set aside come out.
 *
 * Labels    "count click": the aggregate and its stream; "sum order cap 10 threshold 5"; several behind ";".
 * Lines     "100 show a": an impression of key a at time 100. "150 order a =12.5 #7": an order worth 12.5 with event id 7
 *           (without: worth 1, with an id of its own). "190 undo order a #7": it is withdrawn at 190. "300 time": every
 *           stream is complete up to 300; "300 clicks": one is.
 * Outcome   "a: 1" a sample with its labels, "a: 0 1 -> 2 1" a correction with old labels and new ones, "with facts" behind it
 *           if it brings features, "late click".
 * Attribution  "last: sum order" as labels: orders have a key of their own, and count for the last impression of it (first,
 *           all). Keys in capitals are the same but for their case: "100 show a", "120 show A", "130 order a" is an order
 *           of both.
 * At once  "at once: count click": a positive is decided when it is there. "required at once": when its facts are, too,
 *           which are features ("105 facts a"). "join 60 at once" begins an epoch that does so.
 * Room      "room 1: count click": so many bytes of decided keys are remembered (without: all). What is given up as a
 *           whole is 31 long.
 * World     window 60; clicks count within 200, orders within 500; allowed lateness 500. Each scenario is played in one
 *           go, and again with a restart from commits after every line. */
#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/joiner.h"

enum { SHOW, CLICK, ORDER, FACTS, STREAMS };
static const char *const names[STREAMS] = {"show", "click", "order", "facts"};
static const char *const reasons[] = {
    "", "late", "orphaned", "duplicate", "mismatch", "too many", [REASON_SHED] = "shed"};

static const char *const rules[JOINER_ATTRIBUTES] = {"", "last:", "first:", "all:"};

static const struct scenario {
    const char *name, *labels, *lines, *outcome;
} scenarios[] = {
    {"three clicks, by every aggregate",
     "exists click; count click; sum click; mean click; max click; last click; first_delay click",
     "100 show a\n110 click a =2\n120 click a =9\n130 click a =4\n300 time", "a: 1 3 15 5 9 4 0.01"},
    {"nobody clicked", "exists click; count click; sum click; mean click; max click; last click; first_delay click",
     "100 show a\n300 time", "a: 0 0 0 0 0 0 0"},
    {"a value that is not told is 1", "sum order", "100 show a\n110 order a\n120 order a\n300 time", "a: 2"},
    {"values may be below 0", "sum order; max order; last order",
     "100 show a\n110 order a =-3\n120 order a =-5\n300 time", "a: -8 -3 -5"},
    {"each label has its stream", "count click; sum order",
     "100 show a\n110 click a\n120 order a =7\n130 click a\n300 time", "a: 2 7"},
    {"one stream may make several labels, one correction tells them all", "count order; sum order",
     "100 show a\n300 time\n200 order a =7", "a: 0 0\na: 0 0 -> 1 7"},

    /* The window. */
    {"the window's last moment counts in the first label", "count click",
     "100 show a\n160 click a\n161 click a\n300 time", "a: 1\na: 1 -> 2"},
    {"what comes behind the window corrects in the order of event time", "sum order",
     "100 show a\n190 order a =3\n170 order a =2\n110 order a =1\n300 time", "a: 1\na: 1 -> 3\na: 3 -> 6"},
    {"in the order of the log, where times are equal", "last order",
     "100 show a\n190 order a =3\n190 order a =2\n300 time", "a: 0\na: 0 -> 3\na: 3 -> 2"},
    {"click after the window, order after that, order withdrawn: a chain", "exists click; count order",
     "100 show a\n300 time\n170 click a\n180 order a #1\n250 undo order a #1",
     "a: 0 0\na: 0 0 -> 1 0\na: 1 0 -> 1 1\na: 1 1 -> 1 0"},
    {"nothing is told where no value changes", "exists click; max order",
     "100 show a\n110 click a\n110 order a =5\n300 time\n120 click a\n130 order a =4\n140 order a =5", "a: 1 5"},
    {"an action that comes late takes its place in the order", "last click; sum click",
     "100 show a\n150 click a =3\n300 time\n120 click a =2\n160 click a =7", "a: 3 3\na: 3 3 -> 3 5\na: 3 5 -> 7 12"},
    {"an impression whose gate is open is decided with what waits for it", "sum click",
     "300 time\n210 click a =4\n200 show a", "a: 4"},
    {"a stalled order stream makes no label of clicks either", "exists click; exists order",
     "100 show a\n110 click a\n9000 shows\n9000 clicks", ""},

    /* Delay. */
    {"the first in event time, not the first to come", "first_delay click",
     "100 show a\n150 click a\n140 click a\n300 time\n110 click a", "a: 0.04\na: 0.04 -> 0.01"},
    {"clocks differ: no delay is below 0", "first_delay click; count click", "90 click a\n100 show a\n300 time",
     "a: 0 1"},

    /* Cap and threshold. */
    {"a cap bounds, and hides what is beyond it", "sum order cap 10",
     "100 show a\n110 order a =6\n300 time\n170 order a =9\n180 order a =9", "a: 6\na: 6 -> 10"},
    {"a threshold makes 0 and 1", "sum order threshold 10",
     "100 show a\n110 order a =6\n300 time\n170 order a =4\n180 order a =9", "a: 0\na: 0 -> 1"},
    {"the threshold is reached by what is equal", "count click threshold 2",
     "100 show a\n110 click a\n120 click a\n300 time", "a: 1"},
    {"the cap comes first", "sum order cap 5 threshold 10", "100 show a\n110 order a =20\n300 time", "a: 0"},
    {"without an action a label is 0, whatever its threshold", "sum order threshold -1",
     "100 show a\n300 time\n150 order a =-1", "a: 0\na: 0 -> 1"},
    {"a cap below 0 leaves 0 where there was nothing", "sum order cap -2",
     "100 show a\n110 show b\n120 order b =5\n300 time", "a: 0\nb: -2"},

    /* Withdrawals. */
    {"an order withdrawn before the decision was never there", "count order; sum order",
     "100 show a\n110 order a =5 #1\n120 order a =7 #2\n130 undo order a #1\n300 time", "a: 1 7"},
    {"whatever its time: it came before the decision", "sum order",
     "100 show a\n110 order a =5 #1\n400 undo order a #1\n300 time", "a: 0"},
    {"after the decision it corrects", "sum order; max order; last order; mean order",
     "100 show a\n110 order a =5 #1\n120 order a =7 #2\n300 time\n290 undo order a #2",
     "a: 12 7 7 6\na: 12 7 7 6 -> 5 5 5 5"},
    {"the largest goes, the second largest is the largest again", "max click",
     "100 show a\n110 click a =3 #1\n120 click a =9 #2\n130 click a =5 #3\n300 time\n200 undo click a #2\n210 undo "
     "click a #3",
     "a: 9\na: 9 -> 5\na: 5 -> 3"},
    {"one of many changes no label", "exists click",
     "100 show a\n110 click a #1\n120 click a #2\n300 time\n200 undo click a #1", "a: 1"},
    {"a withdrawal may come before its action", "count order",
     "100 show a\n120 undo order a #1\n110 order a #1\n300 time", "a: 0"},
    {"also before its impression", "count order", "120 undo order a #1\n110 order a #1\n100 show a\n300 time", "a: 0"},
    {"also after the decision", "count order", "100 show a\n300 time\n200 undo order a #1\n180 order a #1", "a: 0"},
    {"or wait in vain", "count order", "100 show a\n120 undo order a #1\n300 time\n180 order a #2", "a: 0\na: 0 -> 1"},
    {"before the decision the one, after it the other", "count order",
     "100 show a\n120 undo order a #1\n300 time\n110 order a #1", "a: 0"},
    {"a second withdrawal is a duplicate", "count order",
     "100 show a\n110 order a #1\n120 undo order a #1\n130 undo order a #1\n300 time\n140 undo order a #1",
     "duplicate order\na: 0\nduplicate order"},
    {"what was withdrawn does not come again", "count order",
     "100 show a\n110 order a #1\n120 undo order a #1\n130 order a #1\n300 time\n140 order a #1",
     "duplicate order\na: 0\nduplicate order"},
    {"a withdrawal behind its horizon is late", "count click",
     "100 show a\n110 click a #1\n301 undo click a #1\n300 time\n300 undo click a #1", "late click\na: 1\na: 1 -> 0"},
    {"an action too late for what was decided waits for another impression, in vain", "count click",
     "100 show a\n300 time\n301 click a\n802 time", "a: 0\norphaned click"},
    {"one without an impression is an orphan", "count click", "100 undo click a #1\n601 time\n100 undo click a #1",
     "orphaned click\nlate click"},
    {"an early action goes, its withdrawal stays", "count click",
     "100 click a #1\n650 undo click a #1\n601 time\n640 show a\n660 click a #1\n9000 time", "orphaned click\na: 0"},
    {"ids are those of the stream", "count click; count order",
     "100 show a\n110 click a #1\n120 order a #1\n300 time\n200 undo order a #1", "a: 1 1\na: 1 1 -> 1 0"},
    /* Features that come late. */
    {"features that come late leave the labels as they are", "count click",
     "100 show a\n110 click a\n300 time\n95 facts a", "a: 1\na: 1 -> 1 with facts"},
    {"features, click, withdrawal: a chain", "count click",
     "100 show a\n300 time\n95 facts a\n170 click a #1\n180 undo click a #1",
     "a: 0\na: 0 -> 0 with facts\na: 0 -> 1\na: 1 -> 0"},
    {"click, withdrawal, features: a chain", "count click",
     "100 show a\n300 time\n170 click a #1\n180 undo click a #1\n95 facts a",
     "a: 0\na: 0 -> 1\na: 1 -> 0\na: 0 -> 0 with facts"},
    {"features between a click and an order", "count click; count order",
     "100 show a\n300 time\n170 click a\n95 facts a\n180 order a",
     "a: 0 0\na: 0 0 -> 1 0\na: 1 0 -> 1 0 with facts\na: 1 0 -> 1 1"},
    {"what came before the decision does not come again", "count click", "95 facts a\n100 show a\n300 time\n96 facts a",
     "a: 0\nduplicate facts"},
    {"nor what came after it", "count click", "100 show a\n300 time\n96 facts a\n97 facts a",
     "a: 0\na: 0 -> 0 with facts\nduplicate facts"},
    {"features of what was forgotten wait for another impression", "count click",
     "100 show a\n601 time\n601 facts a\n650 show a\n800 time", "a: 0\na: 0"},
    {"attributed orders stay where they are", "last: sum order",
     "100 show a\n120 show A\n130 order a =5\n300 time\n95 facts A", "a: 0\nA: 5\nA: 5 -> 5 with facts"},
    /* Attribution: a and A are impressions of one action key. */
    {"the last before the order has it", "last: sum order",
     "100 show a\n120 show A\n130 order a =5\n140 show b\n700 time", "a: 0\nA: 5\nb: 0"},
    {"the first of those within", "first: sum order", "100 show a\n120 show A\n130 order a =5\n700 time", "a: 5\nA: 0"},
    {"all of them, each its share", "all: sum order; count order", "100 show a\n120 show A\n130 order a =5\n700 time",
     "a: 2.5 1\nA: 2.5 1"},
    {"an impression after the order has nothing of it", "last: sum order",
     "100 show a\n131 show A\n130 order a =5\n700 time", "a: 5\nA: 0"},
    {"one at its very time has", "last: sum order", "100 show a\n130 show A\n130 order a =5\n700 time", "a: 0\nA: 5"},
    {"within is a time before the order, and it counts itself", "first: sum order",
     "99 show a\n100 show A\n600 order a =5\n300 time\n699 time", "a: 0\nA: 0\nA: 0 -> 5"},
    {"an order may come first, and waits", "last: sum order", "130 order a =5\n100 show a\n120 show A\n700 time",
     "a: 0\nA: 5"},
    {"or waits in vain", "last: sum order", "130 order a =5\n131 show a\n700 time", "a: 0\norphaned order"},
    {"a later impression takes it along: what was told is corrected", "last: sum order",
     "100 show a\n130 order a =5\n300 time\n120 show A\n300 shows", "a: 5\na: 5 -> 0\nA: 5"},
    {"so does an earlier one by the other rule", "first: sum order", "120 show a\n130 order a =5\n300 time\n100 show A",
     "a: 5\na: 5 -> 0\nA: 5"},
    {"and each that comes makes the shares smaller", "all: sum order",
     "100 show a\n130 order a =6\n300 time\n120 show A", "a: 6\na: 6 -> 3\nA: 3"},
    {"an order after the decisions corrects who has it", "last: sum order",
     "100 show a\n120 show A\n300 time\n250 order a =5", "a: 0\nA: 0\nA: 0 -> 5"},
    {"a withdrawn order is taken back from all", "all: sum order",
     "100 show a\n120 show A\n300 time\n250 order a =6 #1\n260 undo order a #1",
     "a: 0\nA: 0\na: 0 -> 3\nA: 0 -> 3\na: 3 -> 0\nA: 3 -> 0"},
    {"a withdrawal may come before its order here, too", "last: sum order",
     "100 show a\n300 time\n260 undo order a #1\n250 order a =6 #1", "a: 0"},
    {"the same order again is a duplicate", "last: sum order",
     "100 show a\n130 order a =5 #1\n130 order A =5 #1\n700 time", "duplicate order\na: 5"},
    {"clicks stay with their impression", "last: count click; count order",
     "100 show a\n120 show A\n130 click a\n140 order a\n700 time", "a: 1 0\nA: 0 1"},
    {"what a forgotten impression had stays with it", "last: sum order",
     "100 show a\n560 order a =5\n601 time\n550 show A\n1200 time", "a: 0\na: 0 -> 5\nA: 0"},

    /* No room to remember decided keys. */
    {"a key that is given up is not known any more", "room 1: count click",
     "100 show a\n161 time\n110 click a\n110 show b\n110 click b\n700 time", "a: 0\nb: 1\norphaned click"},
    {"what is not decided yet was not given up, whatever else its stretch had", "room 1: count click",
     "94 show a\n95 show b\n156 time\n95 show b\n96 show c\n700 time", "a: 0\nb: 0\nlate show\nc: 0"},
    {"nor is it later, when the gate moves on within the stretch", "room 1: count click",
     "94 show a\n155 time\n96 show b\n157 time\n96 show c\n97 show d\n700 time", "a: 0\nb: 0\nlate show\nd: 0"},
    {"a stretch with room stays", "room 1000: count click",
     "100 show a\n110 show b\n171 time\n110 click a\n110 click b", "a: 0\nb: 0\na: 0 -> 1\nb: 0 -> 1"},

    /* Positives at once. Time must be known for that: "0 time". */
    {"a click decides at once, an order corrects", "at once: count click; count order",
     "0 time\n100 show a\n110 click a\n120 order a\n300 time", "a: 1 0\na: 1 0 -> 1 1"},
    {"a negative is one at the window only", "at once: count click",
     "0 time\n100 show a\n100 show b\n110 click b\n160 time\n161 time\n170 click a", "b: 1\na: 0\na: 0 -> 1"},
    {"what came first counts when its impression comes", "at once: sum click; count order",
     "0 time\n110 click a =4\n120 order a\n100 show a\n130 click a =2", "a: 4 1\na: 4 1 -> 6 1"},
    {"a click behind the window is no worse", "at once: count click", "0 time\n100 show a\n170 click a\n300 time",
     "a: 1"},
    {"what does not count makes nobody positive", "at once: count click", "0 time\n100 show a\n301 click a\n300 time",
     "late click\na: 0"},
    {"below its threshold an order is no positive", "at once: sum order threshold 10",
     "0 time\n100 show a\n110 order a =6\n120 order a =4\n300 time", "a: 1"},
    {"nor is one that is worth nothing", "at once: sum order",
     "0 time\n100 show a\n110 order a =0\n161 time\n170 order a =2", "a: 0\na: 0 -> 2"},
    {"withdrawn before its impression it never was", "at once: count order",
     "0 time\n110 order a #1\n120 undo order a #1\n100 show a\n300 time", "a: 0"},
    {"withdrawn after it was learned it is corrected", "at once: count order",
     "0 time\n100 show a\n110 order a #1\n120 undo order a #1\n300 time", "a: 1\na: 1 -> 0"},
    {"a withdrawal may make a positive", "at once: last order",
     "0 time\n100 show a\n120 undo order a #1\n110 order a =0 #2\n130 undo order a #2\n125 order a =3\n300 time",
     "a: 3"},
    {"the same click again is a duplicate, and so is its impression", "at once: count click",
     "0 time\n100 show a\n110 click a #1\n110 click a #1\n101 show a\n300 time",
     "a: 1\nduplicate click\nduplicate show"},
    {"while no time is known it waits, and then is decided in the order of times", "at once: count click",
     "110 click a\n100 show a\n99 show b\n99 click b\n98 show c\n0 shows\n0 clicks\n0 time", "b: 1\na: 1"},
    {"however far behind time stands", "at once: exists click; exists order",
     "0 time\n100 show a\n110 click a\n9000 shows\n9000 clicks", "a: 1 0"},
    {"required features come first", "required at once: count click",
     "0 time\n100 show a\n110 click a\n105 facts a\n120 click a\n300 time", "a: 1\na: 1 -> 2"},
    {"or before all others", "required at once: count click", "0 time\n105 facts a\n110 click a\n100 show a\n300 time",
     "a: 1"},
    {"required features may come when it is too late for corrections", "required at once: count click",
     "0 time\n100 show a\n110 click a\n9000 shows\n9000 clicks\n105 facts a\n120 click a", "a: 1\nlate click"},
    {"then its key is free, and nothing is attributed to it any more", "required at once: last: sum order",
     "0 time\n100 show a\n130 order a =5\n9000 shows\n9000 orders\n9000 clicks\n105 facts a\n140 order a\n8600 show a\n"
     "9000 time",
     "a: 5\nlate order\na: 0"},
    {"or never: then the gate decides, by its window", "required at once: count click",
     "0 time\n100 show a\n110 click a\n170 click a\n300 time", "a: 1\na: 1 -> 2"},
    {"whose gate is open is decided on arrival, by its window", "at once: count click",
     "300 time\n200 show a\n210 click a\n270 click b\n200 show b", "a: 0\na: 0 -> 1\nb: 0\nb: 0 -> 1"},
    {"an attributed order decides who has it", "at once: last: sum order",
     "0 time\n100 show a\n120 show A\n130 order a =5\n700 time", "A: 5\na: 0"},
    {"each of them, the oldest first", "at once: all: sum order",
     "0 time\n120 show A\n100 show a\n130 order a =5\n700 time", "a: 2.5\nA: 2.5"},
    {"a later impression takes it along at once", "at once: last: sum order",
     "0 time\n100 show a\n130 order a =5\n120 show A\n700 time", "a: 5\na: 5 -> 0\nA: 5"},
    {"smaller shares may be above a threshold", "at once: all: sum order threshold -3",
     "0 time\n100 show a\n130 order a =-6\n120 show A\n700 time", "a: 1\nA: 1"},
    {"it begins with impressions of an epoch", "count click",
     "0 time\n100 show a\njoin 60 at once\n100 show b\n110 click a\n110 click b\n300 time", "b: 1\na: 1"},
    {"what is given up may be ahead of the gate", "room 1: at once: count click",
     "0 time\n110 show a\n120 click a\n94 show b\n115 show c\n0 time\n300 time", "a: 1\nlate show\nc: 0"},

    /* Epochs: the window, and labels behind those that there are. */
    {"a label that came later is none of what came before it", "count click",
     "100 show a\njoin 60 count order\n110 show b\n120 order a\n120 order b\n300 time", "a: 0\nb: 0 1"},
    {"that does not wait for the label's stream", "count click",
     "100 show a\njoin 60 count order\n110 show b\n300 shows\n300 clicks\n180 click a #1\n180 click a #1\n300 orders",
     "a: 0\na: 0 -> 1\nduplicate click\nb: 0 0"},
    {"no correction brings it either", "count click",
     "100 show a\n300 time\njoin 60 count order\n200 order a\n210 click a", "a: 0\na: 0 -> 1"},
    {"a longer window is for what comes then", "count click",
     "100 show a\njoin 100\n100 show b\n170 click a\n170 click b\n300 time", "a: 0\na: 0 -> 1\nb: 1"},
    {"and a shorter one", "count click", "100 show a\njoin 10\n110 show b\n125 click a\n125 click b\n300 time",
     "a: 1\nb: 0\nb: 0 -> 1"},
    {"that decides sooner", "count click", "100 show a\njoin 10\n105 show b\n120 time\n160 click a\n300 time",
     "b: 0\na: 1"},
    {"epochs that are decided make room", "count click",
     "100 show a\n300 time\njoin 1\njoin 2\njoin 3\njoin 4\njoin 5\njoin 6\njoin 7\njoin 8\njoin 9\n400 show b\n"
     "409 click b\n150 click a\n900 time",
     "a: 0\na: 0 -> 1\nb: 1"},
    {"and of the key", "count click", "100 show a\n100 show b\n110 click a #1\n120 undo click b #1\n300 time",
     "a: 1\nb: 0"},
};

enum { LINES_MAX = 32, COMMITS_MAX = 64 };

struct player {
    struct joiner_config config;
    struct joiner *joiner;
    uint64_t position, commit, keep_from;
    int64_t watermark[STREAMS];
    struct buffer chunks[COMMITS_MAX], runs[COMMITS_MAX], attributions[COMMITS_MAX]; /* by commit */
    struct buffer outcome;
};

static void end_line(struct player *p) { buffer_put_u8(&p->outcome, '\n'); }

static void say_labels(struct player *p, const double *labels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buffer_print(&p->outcome, " %g", labels[i]);
}

static void on_sample(void *self, struct sample *s)
{
    struct player *p = self;
    buffer_print(&p->outcome, "%c:", (char)s->key.lo);
    if (s->kind == SAMPLE_CORRECTION) {
        say_labels(p, s->old_labels, s->label_count);
        buffer_print(&p->outcome, " ->");
    }
    say_labels(p, s->labels, s->label_count);
    if (sample_brings_features(s))
        buffer_print(&p->outcome, " with %s", names[s->features[0].stream]);
    end_line(p);
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    struct player *p = self;
    buffer_print(&p->outcome, "%s %s", reasons[reason], names[r->stream]);
    end_line(p);
}

static uint32_t stream_of(const char *name)
{
    uint32_t i = 0;
    while (strcmp(names[i], name) != 0)
        assert_true(++i < STREAMS);
    return i;
}

static void add_label(struct player *p, const char *text)
{
    char aggregate[16], stream[16];
    struct joiner_label *l = &p->config.label[p->config.labels];
    const char *cap = strstr(text, " cap "), *threshold = strstr(text, " threshold ");
    assert_int_equal(sscanf(text, " %15s %15s", aggregate, stream), 2);
    while (strcmp(label_aggregate_word(l->aggregate), aggregate) != 0)
        assert_true(++l->aggregate < LABEL_AGGREGATE_COUNT);
    if (cap)
        l->cap = (struct label_bound){true, strtod(cap + strlen(" cap "), NULL)};
    if (threshold)
        l->threshold = (struct label_bound){true, strtod(threshold + strlen(" threshold "), NULL)};
    p->config.stream[stream_of(stream)].labels |= UINT64_C(1) << p->config.labels++;
}

static void add_epoch(struct player *p, uint64_t from)
{
    struct joiner_config *c = &p->config;
    uint32_t number = c->epochs ? c->epoch[c->epochs - 1].number + 1 : 1;
    if (c->epochs == JOINER_EPOCHS_MAX)
        memmove(c->epoch, c->epoch + 1, --c->epochs * sizeof *c->epoch);
    c->epoch[c->epochs++] =
        (struct joiner_epoch){number, c->streams, c->labels, c->window_ms, from, .at_once = c->at_once};
}

static bool passes(const char **text, const char *word)
{
    bool there = strncmp(*text, word, strlen(word)) == 0;
    *text += there ? strlen(word) : 0;
    return there;
}

static void begin(struct player *p, const char *labels)
{
    char text[256];
    *p = (struct player){.keep_from = 1, .watermark = {WATERMARK_NONE, WATERMARK_NONE, WATERMARK_NONE, WATERMARK_NONE}};
    p->config = (struct joiner_config){.streams = STREAMS, .window_ms = 60, .allowed_lateness_ms = 500};
    if (sscanf(labels, "room %" SCNu64, &p->config.decided_bytes_max) == 1)
        labels = strchr(labels, ':') + 2;
    p->config.stream[FACTS] = (struct joiner_stream){.kind = JOINER_FEATURES, .required = passes(&labels, "required ")};
    p->config.at_once = passes(&labels, "at once: ");
    p->config.stream[SHOW].kind = JOINER_IMPRESSION;
    p->config.stream[CLICK] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 200};
    p->config.stream[ORDER] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 500};
    for (int rule = 0; rule < JOINER_ATTRIBUTES; rule++) {
        size_t size = strlen(rules[rule]);
        if (size == 0 || strncmp(labels, rules[rule], size) != 0)
            continue;
        p->config.stream[ORDER].attribute = (enum joiner_attribute)rule;
        p->config.stream[ORDER].key_fields = JOINER_KEY_USER | JOINER_KEY_DOC;
        labels += size;
    }
    joiner_derive_keys(&p->config);
    snprintf(text, sizeof text, "%s", labels);
    for (char *rest = text, *one; (one = strsep(&rest, ";"));)
        add_label(p, one);
    p->config.first_streams = STREAMS;
    add_epoch(p, 0);
    p->joiner = joiner_open(&p->config, (struct joiner_output){p, on_sample, on_aside, NULL, NULL});
}

static void end(struct player *p)
{
    joiner_close(p->joiner);
    buffer_close(&p->outcome);
    for (int i = 0; i < COMMITS_MAX; i++) {
        buffer_close(&p->chunks[i]);
        buffer_close(&p->runs[i]);
        buffer_close(&p->attributions[i]);
    }
}

/* Commit, and go on with another joiner that knows only what commits left behind. */
static void restart(struct player *p)
{
    struct joiner_delta delta;
    struct stream_counts counts[JOINER_STREAMS_MAX];
    int64_t watermarks[JOINER_STREAMS_MAX] = {0};
    uint64_t sequence = joiner_sequence(p->joiner);
    CLEANUP(buffer_close) struct buffer remembered = {0};
    p->commit += joiner_freeze(p->joiner, p->commit + 1, &delta);
    buffer_put(&p->chunks[p->commit], delta.chunk.data, delta.chunk.size);
    buffer_put(&p->runs[p->commit], delta.run.data, delta.run.size);
    buffer_put(&p->attributions[p->commit], delta.attribution.data, delta.attribution.size);
    p->keep_from = delta.keep_from;
    memcpy(counts, joiner_counts(p->joiner), sizeof counts);
    memcpy(watermarks, p->watermark, sizeof p->watermark);
    joiner_encode_remembered(p->joiner, &remembered);
    joiner_close(p->joiner);
    p->joiner = joiner_open(&p->config, (struct joiner_output){p, on_sample, on_aside, NULL, NULL});
    struct reader r = reader_of(buffer_view(&remembered));
    joiner_load_remembered(p->joiner, &r);
    joiner_load_begin(p->joiner, watermarks);
    assert_int_equal(joiner_load_commits(p->joiner, p->keep_from, p->commit, NULL), TM_OK);
    for (uint64_t i = p->keep_from; i <= p->commit; i++)
        if (p->runs[i].size)
            assert_int_equal(joiner_load_run(p->joiner, i, buffer_view(&p->runs[i]), NULL), TM_OK);
    for (uint64_t i = p->keep_from; i <= p->commit; i++)
        assert_int_equal(joiner_load_attribution(p->joiner, buffer_view(&p->attributions[i]), NULL), TM_OK);
    for (uint64_t i = p->keep_from; i <= p->commit; i++)
        if (p->chunks[i].size)
            assert_int_equal(joiner_load_chunk(p->joiner, i, buffer_view(&p->chunks[i]), NULL), TM_OK);
    assert_int_equal(joiner_load_done(p->joiner, p->position + 1, sequence, counts, NULL), TM_OK);
}

/* "join WINDOW", and perhaps another label. */
static void change(struct player *p, const char *line)
{
    int window, used;
    assert_int_equal(sscanf(line, "join %d%n", &window, &used), 1);
    p->config.window_ms = window;
    line += used;
    p->config.at_once |= passes(&line, " at once");
    if (*line)
        add_label(p, line);
    add_epoch(p, p->position + 1);
    joiner_change(p->joiner, &p->config, (struct joiner_output){p, on_sample, on_aside, NULL, NULL});
}

static void pass_time(struct player *p, const char *whose, int64_t time)
{
    for (uint32_t i = 0; i < STREAMS; i++)
        if (strcmp(whose, "time") == 0 || strncmp(whose, names[i], strlen(names[i])) == 0)
            p->watermark[i] = time;
    joiner_advance(p->joiner, p->watermark);
}

static void play(struct player *p, const char *line)
{
    char what[16], key;
    int time, id = 0;
    const char *number = strchr(line, '#'), *value = strchr(line, '='), *undo = strstr(line, " undo ");
    if (strncmp(line, "join", 4) == 0) {
        change(p, line);
        return;
    }
    if (sscanf(line, "%d %*s %*s", &time) == 1 && !strchr(strchr(line, ' ') + 1, ' ')) {
        pass_time(p, strchr(line, ' ') + 1, time);
        return;
    }
    assert_int_equal(sscanf(undo ? undo + strlen(" undo ") : strchr(line, ' ') + 1, "%15s %c", what, &key), 2);
    if (number)
        id = atoi(number + 1);
    p->position++;
    uint8_t stream = (uint8_t)stream_of(what);
    struct hash128 action_key = {(uint64_t)tolower(key), 3};
    bool attributed = p->config.stream[stream].attribute != JOINER_ATTRIBUTE_NONE;
    joiner_step(p->joiner, &(struct joiner_record){.position = p->position,
                                                   .time = time,
                                                   .key = attributed ? action_key : (struct hash128){(uint64_t)key, 1},
                                                   .action_key = {action_key},
                                                   .doc = {(uint64_t)key, 2},
                                                   .event = id ? (uint64_t)id : 1000 + p->position,
                                                   .stream = stream,
                                                   .withdraw = undo != NULL,
                                                   .weight = 1,
                                                   .value = value ? strtod(value + 1, NULL) : 1,
                                                   .body = bytes_of(&key, 1)});
}

static void tell(const struct scenario *scenario, bool restarts)
{
    struct player p;
    char lines[512], want[512];
    begin(&p, scenario->labels);
    snprintf(lines, sizeof lines, "%s", scenario->lines);
    for (char *rest = lines, *line; (line = strsep(&rest, "\n"));) {
        play(&p, line);
        for (uint32_t i = 0; i < STREAMS; i++)
            assert_int_equal(stream_counts_imbalance(&joiner_counts(p.joiner)[i]), 0);
        if (restarts)
            restart(&p);
    }
    snprintf(want, sizeof want, "%s%s", scenario->outcome, *scenario->outcome ? "\n" : "");
    if (!bytes_equal(buffer_view(&p.outcome), bytes_text(want)))
        fail_msg("%s%s\n%s\nmade\n%.*sexpected\n%s", scenario->name, restarts ? ", with restarts" : "", scenario->lines,
                 (int)p.outcome.size, (const char *)p.outcome.data, want);
    end(&p);
}

static void test_scenarios(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        tell(&scenarios[i], false);
        tell(&scenarios[i], true);
    }
}

/* Sums of doubles depend on their order; the order of arrival must not show. */
static void test_every_order_of_arrival_gives_the_same_bits(void **state)
{
    (void)state;
    enum { ORDERS = 6 };
    static const char *const orders[ORDERS] = {"110 order a =0.1",   "120 order a =1e16", "130 order a =0.3",
                                               "140 order a =-1e16", "150 order a =0.7",  "155 order a =3"};
    static const char first[] = "a: ";
    double want = 0.1 + 1e16 + 0.3 - 1e16 + 0.7 + 3;
    char text[64];
    snprintf(text, sizeof text, "%s%g\n", first, want);
    for (int round = 0; round < 2 * ORDERS; round++) {
        struct player p;
        bool late = round >= ORDERS; /* half of them after the decision */
        begin(&p, "sum order");
        play(&p, "100 show a");
        for (int i = 0; i < ORDERS; i++) {
            if (late && i == ORDERS / 2)
                play(&p, "300 time");
            play(&p, orders[(i * 5 + round) % ORDERS]);
        }
        play(&p, "301 time");
        const char *last = (const char *)p.outcome.data + p.outcome.size - (strlen(text) - strlen("a:"));
        assert_memory_equal(last, text + strlen("a:"), strlen(text) - strlen("a:"));
        end(&p);
    }
}

static void test_a_sum_beyond_doubles_stays_at_their_end(void **state)
{
    (void)state;
    tell(&(struct scenario){"", "sum order; mean order",
                            "100 show a\n110 order a =1.7e308\n120 order a =1.7e308\n130 order a =-1.7e308\n300 time",
                            "a: 9.76931e+306 3.25644e+306"},
         false);
}

/* Sixteen actions, and as many withdrawals. */
static void test_bounds(void **state)
{
    (void)state;
    for (int decided = 0; decided <= 1; decided++) {
        struct player p;
        char line[32];
        begin(&p, "count click");
        play(&p, "100 show a");
        if (decided)
            play(&p, "170 time");
        for (int i = 1; i <= 20; i++) {
            snprintf(line, sizeof line, "110 click a #%d", i);
            play(&p, line);
        }
        for (int i = 1; i <= 20; i++) {
            snprintf(line, sizeof line, "120 undo click a #%d", i);
            play(&p, line);
        }
        assert_int_equal(joiner_counts(p.joiner)[CLICK].matched, 2 * JOINER_ACTIONS_MAX);
        assert_int_equal(joiner_counts(p.joiner)[CLICK].filtered, 8);
        assert_int_equal(joiner_delays(p.joiner, CLICK)->sum_ms, 10 * JOINER_ACTIONS_MAX); /* none of a withdrawal */
        end(&p);
    }
}

/* Of one action key, with a key of its own. */
static void show_another(struct player *p, int64_t time)
{
    p->position++;
    joiner_step(p->joiner, &(struct joiner_record){.position = p->position,
                                                   .time = time,
                                                   .key = {p->position, 1},
                                                   .doc = {'a', 2},
                                                   .action_key = {{'a', 3}},
                                                   .stream = SHOW,
                                                   .weight = 1,
                                                   .body = bytes_text("x")});
}

/* Of a key the newest 32 impressions are known; of each stream and key 16 actions. */
static void test_bounds_of_an_action_key(void **state)
{
    (void)state;
    struct player p;
    begin(&p, "first:count order");
    for (int i = 0; i <= 32; i++)
        show_another(&p, 100 + i);
    assert_int_equal(joiner_counts(p.joiner)[SHOW].crowded_out, 1);
    for (int i = 0; i < 20; i++)
        play(&p, "140 order a");
    assert_int_equal(joiner_counts(p.joiner)[ORDER].matched, JOINER_ACTIONS_MAX);
    assert_int_equal(joiner_counts(p.joiner)[ORDER].filtered, 4);
    play(&p, "162 time"); /* decides the first two: the oldest is crowded out, the second has all orders */
    assert_int_equal(joiner_sequence(p.joiner), 2);
    play(&p, "140 order a");
    restart(&p);
    assert_int_equal(joiner_counts(p.joiner)[SHOW].crowded_out, 1);
    end(&p);
}

/* Actions past expiry that stayed for an undecided impression go with it, so that others have room. */
static void test_what_stayed_goes_with_its_impression(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct player p;
        bool shed = how & 1, restarts = how & 2;
        begin(&p, "required last: count order");
        play(&p, "0 time");
        play(&p, "100 show a");
        for (int i = 0; i < JOINER_ACTIONS_MAX; i++)
            play(&p, "110 order a");
        play(&p, "9000 shows");
        play(&p, "9000 clicks");
        play(&p, "9000 orders"); /* the required stream is behind */
        if (shed)
            joiner_set_bounds(p.joiner, 1, 0);
        for (int i = 0; i < 32 && !shed; i++)
            show_another(&p, 8600);
        if (restarts)
            restart(&p);
        play(&p, "8600 order a");
        assert_int_equal(joiner_counts(p.joiner)[ORDER].filtered, 0);
        end(&p);
    }
}

/* While time stands still nothing is left behind by those that are decided all the same. */
static void test_positives_at_once_leave_no_timers(void **state)
{
    (void)state;
    enum { POSITIVES = 20000, ROOM = 128 << 10 };
    struct player p;
    begin(&p, "at once: count click");
    play(&p, "0 time");
    for (int i = 0; i < POSITIVES; i++)
        for (uint8_t stream = SHOW; stream <= CLICK; stream++) {
            p.position++;
            joiner_step(p.joiner, &(struct joiner_record){.position = p.position,
                                                          .time = 100 + i,
                                                          .key = {(uint64_t)(i + 1), 1},
                                                          .event = p.position,
                                                          .stream = stream,
                                                          .weight = 1,
                                                          .value = 1,
                                                          .body = bytes_text("x")});
        }
    assert_int_equal(joiner_sequence(p.joiner), POSITIVES);
    assert_int_equal(joiner_undecided(p.joiner) + joiner_held_bytes(p.joiner), 0);
    assert_in_range(joiner_undecided_entries(p.joiner), 1, ROOM);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenarios),
        cmocka_unit_test(test_every_order_of_arrival_gives_the_same_bits),
        cmocka_unit_test(test_a_sum_beyond_doubles_stays_at_their_end),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_bounds_of_an_action_key),
        cmocka_unit_test(test_what_stayed_goes_with_its_impression),
        cmocka_unit_test(test_positives_at_once_leave_no_timers),
    };
    return cmocka_run_group_tests_name("scenarios", tests, NULL, NULL);
}
