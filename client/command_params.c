#include <stdlib.h>

#include "client/commands.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"

enum { KEY_VERSION = 1 };

struct arguments {
    char *version;
    bool required;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_VERSION: a->version = argument; return 0;
    case ARGP_KEY_END:
        if (a->required && !a->version)
            argp_error(state, "--version is required");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- export ---- */

struct row {
    const Tidemill__V1__ExportReply *reply;
    size_t index;
};

/* Everything received; it is sorted before any of it is printed. */
struct table {
    ProtobufCMessage **replies;
    struct row *rows;
    size_t reply_count, row_count;
    uint32_t width;
    const Tidemill__V1__ExportReply *head; /* names the values */
};

static void table_close(struct table *t)
{
    for (size_t i = 0; i < t->reply_count; i++)
        wire_free(t->replies[i]);
    free(t->replies);
    free(t->rows);
}

static bool is_whole(const struct table *t, const Tidemill__V1__ExportReply *m)
{
    size_t n = m->n_docs;
    return m->n_values == n * t->width && m->n_positives == n && m->n_negatives == n && m->n_mean == n &&
           m->n_sd == n && m->n_lower == n && m->n_upper == n && m->n_updated_at == n;
}

/* Takes the reply over, whatever it returns. */
static enum tm_code table_add(struct table *t, ProtobufCMessage *reply, struct tm_error *err)
{
    const Tidemill__V1__ExportReply *m = (const Tidemill__V1__ExportReply *)reply;
    t->replies = mem_grow(t->replies, t->reply_count + 1, sizeof *t->replies);
    t->replies[t->reply_count++] = reply;
    if (!t->head) {
        t->head = m;
        t->width = m->width;
        if (m->n_names != m->width)
            return tm_error_set(err, TM_IO, "export: %zu names for %u values", m->n_names, m->width);
    }
    if (!is_whole(t, m))
        return tm_error_set(err, TM_IO, "export: a reply whose arrays do not fit its %zu documents", m->n_docs);
    t->rows = mem_grow(t->rows, t->row_count + m->n_docs, sizeof *t->rows);
    for (size_t i = 0; i < m->n_docs; i++)
        t->rows[t->row_count++] = (struct row){m, i};
    return TM_OK;
}

static enum tm_code table_receive(struct table *t, const struct settings *s, char *version, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    Tidemill__V1__ExportRequest request = TIDEMILL__V1__EXPORT_REQUEST__INIT;
    struct connection *c = connection_open(s->server);
    struct duplex *d =
        duplex_open(c, "/tidemill.v1.Admin/Export", &tidemill__v1__export_reply__descriptor, s->timeout_ms);
    ProtobufCMessage *reply = NULL;
    enum duplex_event event = DUPLEX_NOTHING;
    enum tm_code rc = TM_OK;
    request.version = version;
    wire_pack(&request.base, &packed);
    duplex_send(d, buffer_view(&packed));
    while (rc == TM_OK && event != DUPLEX_ENDED) {
        rc = duplex_next(d, -1, &event, &reply, err);
        if (rc == TM_OK && event == DUPLEX_SENT)
            duplex_finish(d);
        if (rc == TM_OK && event == DUPLEX_MESSAGE)
            rc = table_add(t, reply, err);
    }
    duplex_close(d);
    connection_close(c);
    if (rc == TM_OK && !t->head)
        rc = tm_error_set(err, TM_IO, "export: the server sent nothing");
    return rc;
}

static int by_doc(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return strcmp(x->reply->docs[x->index], y->reply->docs[y->index]);
}

static void print_table(const struct table *t, enum output output)
{
    static const char *const front[] = {"doc", "positives", "negatives", "mean", "sd", "lower", "upper"};
    size_t columns = ARRAY_LEN(front) + t->width + 1;
    const char **names = mem_new(columns, sizeof *names);
    struct cell *cells = mem_new(columns, sizeof *cells);
    memcpy(names, front, sizeof front);
    for (size_t v = 0; v < t->width; v++)
        names[ARRAY_LEN(front) + v] = t->head->names[v];
    names[columns - 1] = "updated_at";
    struct printer *p = printer_open(stdout, output, names, columns);
    for (size_t r = 0; r < t->row_count; r++) {
        const Tidemill__V1__ExportReply *m = t->rows[r].reply;
        size_t i = t->rows[r].index;
        const struct cell begin[ARRAY_LEN(front)] = {
            cell_text(m->docs[i]), cell_count(m->positives[i]), cell_count(m->negatives[i]), cell_number(m->mean[i]),
            cell_number(m->sd[i]), cell_number(m->lower[i]),    cell_number(m->upper[i])};
        memcpy(cells, begin, sizeof begin);
        for (size_t v = 0; v < t->width; v++)
            cells[ARRAY_LEN(front) + v] = cell_number(m->values[i * t->width + v]);
        cells[columns - 1] = cell_time(m->updated_at[i]);
        printer_row(p, cells);
    }
    printer_close(p);
    free(names);
    free(cells);
}

int command_params_export(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"version", KEY_VERSION, "NAME", 0, "Version whose parameters are wanted (required)", 0}, {0}};
    struct arguments a = {.required = true};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON | 1u << OUTPUT_CSV,
                                .output = OUTPUT_CSV};
    struct table table = {0};
    struct tm_error err = {0};
    command_parse(self, options, parse, &a, &settings, argc, argv);
    enum tm_code rc = table_receive(&table, &settings, a.version, &err);
    if (rc == TM_OK) {
        qsort(table.rows, table.row_count, sizeof *table.rows, by_doc);
        print_table(&table, settings.output);
        if (settings.output == OUTPUT_JSON)
            putchar('\n');
    }
    table_close(&table);
    return rc == TM_OK ? command_flushed(0) : command_failed(&err);
}

/* ---- digest ---- */

static void print_digests(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    static const char *const names[] = {"version", "digest", "documents"};
    const Tidemill__V1__DigestReply *m = (const Tidemill__V1__DigestReply *)reply;
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_digests; i++)
        printer_row(p, (struct cell[]){cell_text(m->digests[i]->version), cell_text(m->digests[i]->digest),
                                       cell_count(m->digests[i]->documents)});
    printer_close(p);
}

int command_params_digest(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {{"version", KEY_VERSION, "NAME", 0, "One version (default: all)", 0},
                                                 {0}};
    struct arguments a = {0};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    Tidemill__V1__DigestRequest request = TIDEMILL__V1__DIGEST_REQUEST__INIT;
    command_parse(self, options, parse, &a, &settings, argc, argv);
    request.version = a.version;
    return command_show(&settings, "/tidemill.v1.Admin/Digest", &request.base, &tidemill__v1__digest_reply__descriptor,
                        print_digests);
}
