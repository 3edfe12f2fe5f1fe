#include "tests/simulation/replay.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PER_LINE = 20 };

static void print_kept(FILE *out, const char *what, const struct world *w, uint32_t count,
                       bool (*kept)(const struct world *w, uint32_t i))
{
    uint32_t on_line = 0;
    for (uint32_t i = 0; i < count; i++)
        if (kept(w, i)) {
            if (on_line % PER_LINE == 0)
                fprintf(out, "%s%s", on_line ? "\n" : "", what);
            fprintf(out, " %" PRIu32, i);
            on_line++;
        }
    fprintf(out, "%s", on_line ? "\n" : "");
}

static bool act_is_kept(const struct world *w, uint32_t i) { return !w->act[i].dropped; }

/* An event that no act is left to send is not worth a word. */
static bool event_is_kept(const struct world *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->acts; k++)
        if (!w->act[k].dropped && i >= w->act[k].first && i < w->act[k].first + w->act[k].count)
            return !w->event_dropped[i];
    return false;
}

void replay_print(const struct world *w, FILE *out)
{
    fprintf(out, "seed %" PRIu64 "\nof %" PRIu32 " acts %" PRIu32 " events\n", w->seed, w->acts, w->events);
    print_kept(out, "acts", w, w->acts, act_is_kept);
    print_kept(out, "events", w, w->events, event_is_kept);
}

static void refuse(const char *path, const char *line, const char *why)
{
    fprintf(stderr, "%s: \"%.60s\": %s\n", path, line, why);
    exit(2);
}

static void begin(struct world *w, uint64_t seed)
{
    world_make(w, seed);
    for (uint32_t i = 0; i < w->acts; i++)
        w->act[i].dropped = true;
    for (uint32_t i = 0; i < w->events; i++)
        w->event_dropped[i] = true;
}

/* Bring back what the line names. */
static void bring_back(const char *path, struct world *w, const char *line, const char *numbers, bool acts)
{
    char *end;
    for (;; numbers = end) {
        unsigned long i = strtoul(numbers, &end, 10);
        if (end == numbers)
            return;
        if (i >= (acts ? w->acts : w->events))
            refuse(path, line, "the world has no such number");
        *(acts ? &w->act[i].dropped : &w->event_dropped[i]) = false;
    }
}

void replay_read(const char *path, struct world *w)
{
    char line[512];
    uint64_t seed;
    uint32_t acts, events;
    bool made = false;
    FILE *in = fopen(path, "r");
    if (!in)
        refuse(path, "", "cannot be opened");
    while (fgets(line, sizeof line, in)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (!made && sscanf(line, "seed %" SCNu64, &seed) == 1) {
            begin(w, seed);
            made = true;
        } else if (!made) {
            refuse(path, line, "expected the seed first");
        } else if (sscanf(line, "of %" SCNu32 " acts %" SCNu32 " events", &acts, &events) == 2) {
            if (acts != w->acts || events != w->events)
                refuse(path, line, "worlds are made otherwise today: the case is gone");
        } else if (strncmp(line, "acts ", 5) == 0) {
            bring_back(path, w, line, line + 5, true);
        } else if (strncmp(line, "events ", 7) == 0) {
            bring_back(path, w, line, line + 7, false);
        } else {
            refuse(path, line, "expected acts or events");
        }
    }
    fclose(in);
    if (!made)
        refuse(path, "", "expected a seed");
}
