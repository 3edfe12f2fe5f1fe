#include "bench/events.h"

#include <math.h>
#include <stdlib.h>

enum { ZIPF_PLACES = 1 << 18 };

static const int64_t first_time = INT64_C(1574553600000); /* 2019-11-24 */

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014), the finaliser of SplitMix64. */
uint64_t events_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void make_zipf(uint16_t *zipf)
{
    double total = 0, below = 0;
    uint32_t place = 0;
    for (int i = 1; i <= EVENTS_DOCS; i++)
        total += 1.0 / i;
    for (int i = 1; i <= EVENTS_DOCS; i++) {
        below += 1.0 / i;
        for (; place < ZIPF_PLACES && place < below / total * ZIPF_PLACES; place++)
            zipf[place] = (uint16_t)(i - 1);
    }
    for (; place < ZIPF_PLACES; place++)
        zipf[place] = EVENTS_DOCS - 1;
}

void events_open(struct events *e, uint64_t live, double clicks, bool features)
{
    *e = (struct events){.live = live, .clicks = clicks, .features = features, .start = first_time, .click_ring = 2};
    while (e->click_ring < live * 2)
        e->click_ring *= 2;
    e->due = mem_new(e->click_ring, sizeof *e->due);
    e->due_after = mem_new(e->click_ring, sizeof *e->due_after);
    e->zipf = mem_new(ZIPF_PLACES, sizeof *e->zipf);
    make_zipf(e->zipf);
}

void events_close(struct events *e)
{
    free(e->due);
    free(e->due_after);
    free(e->zipf);
    *e = (struct events){0};
}

static int64_t time_of(const struct events *e, uint64_t sample)
{
    return e->start + (int64_t)(sample * EVENTS_WINDOW_MS / e->live);
}

/* All that belongs to a sample follows from its number. */
static void fill(const struct events *e, struct made *out, enum made_kind kind, uint64_t sample, uint64_t at)
{
    uint64_t bits = events_mix(sample);
    *out = (struct made){.kind = kind,
                         .time = time_of(e, at),
                         .sample = sample,
                         .doc = e->docs ? (uint32_t)(sample % e->docs) : e->zipf[bits % ZIPF_PLACES],
                         .user = (uint32_t)(bits >> 32),
                         .version = e->one_version ? 0 : (uint32_t)(bits >> 20) & 1};
}

static double unit(uint64_t bits) { return ((double)(bits >> 11) + 0.5) / (double)(UINT64_C(1) << 53); }

/* Does the sample get a click? Then hang it up where it is due. */
static void plan_click(struct events *e, uint64_t sample)
{
    uint64_t bits = events_mix(sample ^ UINT64_C(0xc11c));
    if (unit(bits) >= e->clicks)
        return;
    double windows = fmin(-log(unit(events_mix(bits))) / 4, 1.5);
    uint32_t *list = &e->due[(sample + 1 + (uint64_t)(windows * (double)e->live)) & (e->click_ring - 1)];
    e->due_after[sample & (e->click_ring - 1)] = *list;
    *list = (uint32_t)sample + 1;
}

/* The sample whose low half is known: none is older than the ring. */
static uint64_t whole(const struct events *e, uint32_t low) { return e->next - (uint32_t)((uint32_t)e->next - low); }

void events_next(struct events *e, struct made *out)
{
    uint32_t *list = &e->due[e->next & (e->click_ring - 1)];
    if (*list) {
        uint64_t sample = whole(e, *list - 1);
        *list = e->due_after[sample & (e->click_ring - 1)];
        fill(e, out, MADE_CLICK, sample, e->next);
        return;
    }
    if (e->features && !e->features_made) {
        e->features_made = true;
        fill(e, out, MADE_FEATURES, e->next, e->next);
        return;
    }
    e->features_made = false;
    fill(e, out, MADE_IMPRESSION, e->next, e->next);
    plan_click(e, e->next);
    e->next++;
}
