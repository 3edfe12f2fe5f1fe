/* What was joined: samples window. */
#include <inttypes.h>
#include <math.h>

#include "base/text.h"
#include "base/units.h"
#include "client/commands.h"
#include "tidemill/v1/samples.pb-c.h"

enum { BAR = 20, BAR_SIZE = 48, SIZE = 32 };

/* Shares are shown to a tenth of a percent; what rounds to 0 or to all is not worth a row. */
static const double negligible = 0.0005;

static double percent(double share) { return round(share * 1000) / 10; }

/* "12.3 MiB" */
static const char *memory_text(uint64_t bytes, char buf[static SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        v /= 1024;
    snprintf(buf, SIZE, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return buf;
}

/* Windows that nearly no action is as quick as are left out, and all behind the first that nearly every one is. */
static bool worth_a_row(const Tidemill__V1__StreamDelays *s, size_t i)
{
    const Tidemill__V1__WindowChoice *c = s->windows[i];
    bool all_before = i > 0 && s->windows[i - 1]->corrections < negligible;
    return c->configured || (c->at_decision >= negligible && !all_before);
}

static const char *bar_text(const Tidemill__V1__WindowChoice *c, char buf[static BAR_SIZE])
{
    int filled = (int)lround(fmin(fmax(c->at_decision, 0), 1) * BAR);
    for (int i = 0; i < BAR; i++)
        buf[i] = i < filled ? '#' : '.';
    snprintf(buf + BAR, BAR_SIZE - BAR, "%s", c->configured ? " <- join.window" : "");
    return buf;
}

static void print_windows(const Tidemill__V1__StreamDelays *s)
{
    static const char *const names[] = {"window", "at decision %", "corrections %",
                                        "late %", "memory",        "share at decision"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < s->n_windows; i++) {
        const Tidemill__V1__WindowChoice *c = s->windows[i];
        char window[UNITS_TEXT_SIZE], memory[SIZE], bar[BAR_SIZE];
        if (!worth_a_row(s, i))
            continue;
        printer_row(p, (struct cell[]){cell_text(duration_text(c->window_ms, window)),
                                       cell_number(percent(c->at_decision)), cell_number(percent(c->corrections)),
                                       cell_number(percent(c->late)),
                                       cell_text(c->has_memory_bytes ? memory_text(c->memory_bytes, memory) : NULL),
                                       cell_text(bar_text(c, bar))});
    }
    printer_close(p);
}

static void print_suggestion(const Tidemill__V1__StreamDelays *s)
{
    char half[UNITS_TEXT_SIZE], most[UNITS_TEXT_SIZE], nearly_all[UNITS_TEXT_SIZE], within[UNITS_TEXT_SIZE];
    if (s->has_half_ms && s->has_most_ms)
        printf("suggested window: %s to %s (50 to 80 %% of the actions): label quickly, correct the rest\n",
               duration_text(s->half_ms, half), duration_text(s->most_ms, most));
    else
        puts("suggested window: none; too many actions are late to know how long they take");
    if (s->has_nearly_all_ms)
        printf("suggested horizon: at least %s (99.9 %%); actions count within %s\n",
               duration_text(s->nearly_all_ms, nearly_all), duration_text(s->within_ms, within));
    else
        printf("suggested horizon: longer than %s, within which actions count: more than one in a thousand is late\n",
               duration_text(s->within_ms, within));
}

static void print_stream(const Tidemill__V1__StreamDelays *s)
{
    char matched[TEXT_NUMBER_SIZE], late[TEXT_NUMBER_SIZE], before[TEXT_NUMBER_SIZE];
    fputs("stream ", stdout);
    print_escaped(stdout, s->stream ? s->stream : "-");
    if (!s->n_windows) {
        puts(": no action has met its impression yet\n");
        return;
    }
    printf(": %s actions matched (%s of them before their impression), %s late\n", text_count(s->actions, matched),
           text_count(s->before, before), text_count(s->late, late));
    print_windows(s);
    print_suggestion(s);
    putchar('\n');
}

static void print_memory(const Tidemill__V1__SampleWindowReply *m)
{
    char count[TEXT_NUMBER_SIZE], memory[SIZE];
    printf("waiting now: %s impressions; %s are kept for them\n", text_count(m->undecided, count),
           memory_text(m->undecided_bytes, memory));
    if (m->has_impressions_per_second && m->has_bytes_per_undecided)
        printf("memory: %.6g impressions a second of event time x window x %.0f bytes while each waits\n",
               m->impressions_per_second, m->bytes_per_undecided);
    else
        puts("memory: not known; since the start too little has come to measure it");
}

static void print_people(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    const Tidemill__V1__SampleWindowReply *m = (const Tidemill__V1__SampleWindowReply *)reply;
    for (size_t i = 0; i < m->n_streams; i++)
        print_stream(m->streams[i]);
    if (!m->n_streams)
        puts("no action streams are configured");
    print_memory(m);
}

enum { KEY_STREAM = 1 };

static error_t parse_window(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__SampleWindowRequest *q = state->input;
    switch (key) {
    case KEY_STREAM: q->stream = argument; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int command_samples_window(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"stream", KEY_STREAM, "NAME", 0, "Of this action stream only (default: all of them)", 0},
        {0},
    };
    Tidemill__V1__SampleWindowRequest request = TIDEMILL__V1__SAMPLE_WINDOW_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, options, parse_window, &request, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/SampleWindow", &request.base,
                        &tidemill__v1__sample_window_reply__descriptor, print_people);
}
