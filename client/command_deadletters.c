/* What was set aside or refused: deadletters list, deadletters show. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/commands.h"
#include "client/event_print.h"
#include "proto/wire.h"
#include "tidemill/v1/deadletters.pb-c.h"

enum { KEY_STREAM = 1, KEY_REASON, KEY_SINCE, KEY_UNTIL, KEY_LIMIT, KEY_PAGE, HEX_MAX = 4096 };

static struct bytes event_of(const Tidemill__V1__DeadLetter *l) { return bytes_of(l->event.data, l->event.len); }

/* A text that another server might leave out. */
static const char *shown(const char *text) { return text && *text ? text : "-"; }

/* ---- list ---- */

/* RFC 3339, or milliseconds. */
static int64_t parse_time(const char *option, const char *text, struct argp_state *state)
{
    int64_t ms;
    char *end;
    if (clock_parse(bytes_text(text), &ms))
        return ms;
    ms = strtoll(text, &end, 10);
    if (end == text || *end)
        argp_error(state, "%s: got \"%s\"; expected a time like 2019-11-24T00:00:12Z, or milliseconds since 1970",
                   option, text);
    return ms;
}

static uint32_t parse_limit(const char *text, struct argp_state *state)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || v < 1 || v > UINT32_MAX)
        argp_error(state, "--limit: got \"%s\"; expected a number from 1 to 1000", text);
    return (uint32_t)v;
}

static error_t parse_list(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__ListDeadLettersRequest *q = state->input;
    switch (key) {
    case KEY_STREAM: q->stream = argument; return 0;
    case KEY_REASON: q->reason = argument; return 0;
    case KEY_PAGE: q->page = argument; return 0;
    case KEY_SINCE:
        q->has_since = true;
        q->since = parse_time("--since", argument, state);
        return 0;
    case KEY_UNTIL:
        q->has_until = true;
        q->until = parse_time("--until", argument, state);
        return 0;
    case KEY_LIMIT:
        q->has_limit = true;
        q->limit = parse_limit(argument, state);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static struct cell event_cell(const Tidemill__V1__DeadLetter *l, const char *field, struct buffer *text)
{
    text->size = 0;
    return event_text(event_of(l), field, text) ? cell_text((const char *)text->data) : cell_none();
}

static void print_letters(const Tidemill__V1__ListDeadLettersReply *m)
{
    static const char *const names[] = {"id", "reason", "stream", "time", "request", "doc", "event", "refused because"};
    CLEANUP(buffer_close) struct buffer request = {0}, doc = {0}, event = {0};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_letters; i++) {
        const Tidemill__V1__DeadLetter *l = m->letters[i];
        printer_row(p,
                    (struct cell[]){cell_text(l->id), cell_text(l->reason), cell_text(l->stream),
                                    l->has_time ? cell_time(l->time) : cell_none(), event_cell(l, "request", &request),
                                    event_cell(l, "doc", &doc), event_cell(l, "event", &event), cell_text(l->message)});
    }
    printer_close(p);
}

static void print_counts(const Tidemill__V1__ListDeadLettersReply *m)
{
    static const char *const names[] = {"stream", "reason", "seen", "kept"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_counts; i++)
        printer_row(p, (struct cell[]){cell_text(m->counts[i]->stream), cell_text(m->counts[i]->reason),
                                       cell_count(m->counts[i]->seen), cell_count(m->counts[i]->kept)});
    printer_close(p);
}

static void print_list(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    const Tidemill__V1__ListDeadLettersReply *m = (const Tidemill__V1__ListDeadLettersReply *)reply;
    if (m->n_letters)
        print_letters(m);
    if (m->n_letters && m->n_counts)
        putchar('\n');
    if (m->n_counts)
        print_counts(m);
    if (!m->n_letters)
        command_hint(m->n_counts ? "no dead letter of that kind" : "no dead letters");
    else
        command_hint("one of them in full: tidemill deadletters show %s", shown(m->letters[0]->id));
    if (m->next_page)
        command_hint("older ones: the same with --page %s", m->next_page);
}

int command_deadletters_list(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"stream", KEY_STREAM, "NAME", 0, "Of this stream only", 0},
        {"reason", KEY_REASON, "NAME", 0, "For this reason only: late, orphaned, duplicate, rejected...", 0},
        {"since", KEY_SINCE, "TIME", 0, "Event time from here on, RFC 3339 or milliseconds since 1970", 0},
        {"until", KEY_UNTIL, "TIME", 0, "Event time up to here", 0},
        {"limit", KEY_LIMIT, "N", 0, "How many, at most 1000 (default: 50)", 0},
        {"page", KEY_PAGE, "TOKEN", 0, "Go on where an earlier list ended", 0},
        {0},
    };
    Tidemill__V1__ListDeadLettersRequest request = TIDEMILL__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, options, parse_list, &request, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/ListDeadLetters", &request.base,
                        &tidemill__v1__list_dead_letters_reply__descriptor, print_list);
}

/* ---- show ---- */

static error_t parse_show(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__ShowDeadLetterRequest *q = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (q->id)
            argp_error(state, "one ID at a time");
        q->id = argument;
        return 0;
    case ARGP_KEY_END:
        if (!q->id)
            argp_error(state, "ID is missing; tidemill deadletters list shows them");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void print_json_letter(const ProtobufCMessage *reply, struct bytes event)
{
    fputs("{\"reply\": ", stdout);
    print_json_message(stdout, reply);
    fputs(", \"decoded\": ", stdout);
    event_print_json(stdout, event);
    fputs("}\n", stdout);
}

static void print_field(const char *name, const char *value)
{
    printf("%-12s", name);
    print_escaped(stdout, shown(value));
    putchar('\n');
}

static void print_refused(const Tidemill__V1__DeadLetter *l)
{
    char text[3 * 64 + sizeof "//" + CLOCK_TEXT_SIZE];
    snprintf(text, sizeof text, "%s/%s/%s", shown(l->client), shown(l->instance), shown(l->lane));
    print_field("producer", text);
    printf("%-12s%" PRIu64 ", event %" PRIu32 " of it\n", "batch", l->batch, l->index);
    print_field("refused at", clock_text(l->refused_at, text));
    print_field("field", l->field);
    print_field("because", l->message);
}

static void print_event(const Tidemill__V1__DeadLetter *l)
{
    struct bytes event = event_of(l);
    if (!event.size) {
        puts("\nthe event is not known: while it waited its marks alone were kept, and the log has it no more");
        return;
    }
    putchar('\n');
    size_t readable = event_print_json(stdout, event);
    putchar('\n');
    if (event.size < l->event_bytes)
        printf("the first %zu of %" PRIu32 " bytes are kept\n", event.size, l->event_bytes);
    else if (readable < event.size)
        printf("damaged at byte %zu\n", readable);
    putchar('\n');
    event_print_hex(stdout, bytes_of(event.data, event.size < HEX_MAX ? event.size : HEX_MAX));
    if (event.size > HEX_MAX)
        printf("%zu bytes more: -o json has them all\n", event.size - HEX_MAX);
}

static void print_letter(const Tidemill__V1__ShowDeadLetterReply *m)
{
    char text[CLOCK_TEXT_SIZE];
    const Tidemill__V1__DeadLetter *l = m->letter;
    print_field("id", l->id);
    printf("%-12s%s: %s\n", "reason", shown(l->reason), shown(m->meaning));
    print_field("hint", m->hint);
    print_field("stream", l->stream);
    print_field("time", l->has_time ? clock_text(l->time, text) : NULL);
    printf("%-12s%" PRIu64 "\n", "position", l->position);
    if (l->has_event_bytes)
        printf("%-12s%" PRIu32 " bytes\n", "size", l->event_bytes);
    if (l->client)
        print_refused(l);
    print_event(l);
}

int command_deadletters_show(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__ShowDeadLetterRequest request = TIDEMILL__V1__SHOW_DEAD_LETTER_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    command_parse(self, NULL, parse_show, &request, &settings, argc, argv);
    enum tm_code rc = command_call(&settings, "/tidemill.v1.Admin/ShowDeadLetter", &request.base,
                                   &tidemill__v1__show_dead_letter_reply__descriptor, &reply, &err);
    const Tidemill__V1__ShowDeadLetterReply *m = (const Tidemill__V1__ShowDeadLetterReply *)reply;
    if (rc == TM_OK && !m->letter)
        rc = tm_error_set(&err, TM_IO, "the server sent no letter");
    if (rc == TM_OK && settings.output == OUTPUT_JSON)
        print_json_letter(reply, event_of(m->letter));
    else if (rc == TM_OK)
        print_letter(m);
    wire_free(reply);
    return rc == TM_OK ? command_flushed(0) : command_failed(&err);
}
