#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "client/commands.h"
#include "tidemill/v1/admin.pb-c.h"

enum { AGE_SIZE = 64, DISK_SIZE = 128, HOLDER_SIZE = 21 };

/* "12.3 s ago", by the wall clock: replayed events are old, that is no lag. */
static const char *age_text(int64_t ms, char buf[static AGE_SIZE])
{
    double age = (double)(clock_wall_ms() - ms) / 1000;
    if (age < 120)
        snprintf(buf, AGE_SIZE, "%.1f s", age);
    else if (age < 2 * 3600)
        snprintf(buf, AGE_SIZE, "%.0f min", age / 60);
    else if (age < 48 * 3600)
        snprintf(buf, AGE_SIZE, "%.1f h", age / 3600);
    else
        snprintf(buf, AGE_SIZE, "%.0f d", age / 86400);
    return buf;
}

/* CLIENT/INSTANCE/LANE as far as the column goes, no character cut in two; "-o json" has all of it. */
static const char *holder_text(const char *holder, char buf[static HOLDER_SIZE])
{
    static const char cut[] = "...";
    if (strlen(holder) < HOLDER_SIZE)
        return holder;
    size_t size = HOLDER_SIZE - sizeof cut;
    while (size > 0 && ((unsigned char)holder[size] & 0xC0) == 0x80)
        size--;
    snprintf(buf, HOLDER_SIZE, "%.*s%s", (int)size, holder, cut);
    return buf;
}

static void print_streams(const Tidemill__V1__StatusReply *m)
{
    static const char *const names[] = {"stream", "kind", "watermark", "age", "held by", "silent s", "imbalance"};
    char age[AGE_SIZE], holder[HOLDER_SIZE];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_streams; i++) {
        const Tidemill__V1__StreamStatus *s = m->streams[i];
        bool held = s->holder && *s->holder;
        printer_row(p, (struct cell[]){cell_text(s->name), cell_text(s->kind),
                                       s->has_watermark ? cell_time(s->watermark) : cell_none(),
                                       cell_text(s->has_watermark ? age_text(s->watermark, age) : NULL),
                                       cell_text(held ? holder_text(s->holder, holder) : NULL),
                                       held ? cell_count((uint64_t)s->holder_silent_ms / 1000) : cell_none(),
                                       cell_signed(s->imbalance)});
    }
    printer_close(p);
}

/* What became of the events: consumed is the sum of the rest. What is rare has a column only when it happened. */
static const struct fate {
    const char *name;
    size_t offset; /* in StreamStatus */
    bool rare;
} fates[] = {
    {"consumed", offsetof(Tidemill__V1__StreamStatus, consumed), false},
    {"matched", offsetof(Tidemill__V1__StreamStatus, matched), false},
    {"applied", offsetof(Tidemill__V1__StreamStatus, applied), true},
    {"late", offsetof(Tidemill__V1__StreamStatus, late), false},
    {"orphaned", offsetof(Tidemill__V1__StreamStatus, orphaned), false},
    {"duplicate", offsetof(Tidemill__V1__StreamStatus, duplicate), false},
    {"malformed", offsetof(Tidemill__V1__StreamStatus, malformed), false},
    {"filtered", offsetof(Tidemill__V1__StreamStatus, filtered), false},
    {"shed", offsetof(Tidemill__V1__StreamStatus, shed), true},
    {"waiting", offsetof(Tidemill__V1__StreamStatus, waiting), false},
    {"table late", offsetof(Tidemill__V1__StreamStatus, table_late), true},
};

static uint64_t fate_count(const Tidemill__V1__StreamStatus *s, const struct fate *f)
{
    return *(const uint64_t *)(const void *)((const char *)s + f->offset);
}

static bool has_happened(const Tidemill__V1__StatusReply *m, const struct fate *f)
{
    for (size_t i = 0; i < m->n_streams; i++)
        if (fate_count(m->streams[i], f) > 0)
            return true;
    return false;
}

static void print_fates(const Tidemill__V1__StatusReply *m)
{
    const char *names[1 + ARRAY_LEN(fates)] = {"stream"};
    const struct fate *shown[1 + ARRAY_LEN(fates)];
    struct cell cells[1 + ARRAY_LEN(fates)];
    size_t columns = 1;
    for (size_t f = 0; f < ARRAY_LEN(fates); f++)
        if (!fates[f].rare || has_happened(m, &fates[f])) {
            names[columns] = fates[f].name;
            shown[columns++] = &fates[f];
        }
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, columns);
    for (size_t i = 0; i < m->n_streams; i++) {
        cells[0] = cell_text(m->streams[i]->name);
        for (size_t c = 1; c < columns; c++)
            cells[c] = cell_count(fate_count(m->streams[i], shown[c]));
        printer_row(p, cells);
    }
    printer_close(p);
}

static void add_samples(struct printer *p, const Tidemill__V1__VersionStatus *v, const char *kind,
                        const Tidemill__V1__SampleCounts *counts)
{
    static const Tidemill__V1__SampleCounts none = TIDEMILL__V1__SAMPLE_COUNTS__INIT;
    const Tidemill__V1__SampleCounts *c = counts ? counts : &none;
    printer_row(p, (struct cell[]){cell_text(v->name), cell_text(v->state), cell_count(v->documents), cell_text(kind),
                                   cell_count(c->samples), cell_count(c->learned), cell_count(c->batched),
                                   cell_count(c->held), cell_count(c->skipped), cell_signed(v->imbalance)});
}

static void print_versions(const Tidemill__V1__StatusReply *m)
{
    static const char *const names[] = {"version", "state",   "documents", "kind",    "samples",
                                        "learned", "batched", "held",      "skipped", "imbalance"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_versions; i++) {
        add_samples(p, m->versions[i], "new", m->versions[i]->new_samples);
        add_samples(p, m->versions[i], "correction", m->versions[i]->corrections);
    }
    printer_close(p);
}

static void add_total(struct printer *p, const char *name, struct cell value)
{
    printer_row(p, (struct cell[]){cell_text(name), value});
}

/* "1.4 GiB of 240.0 GiB free", and what follows from it. */
static const char *disk_text(const Tidemill__V1__StatusReply *m, char buf[static DISK_SIZE])
{
    const char *state = m->disk_state ? m->disk_state : "";
    const char *means = strcmp(state, "low") == 0    ? ": LOW, no events are taken"
                        : strcmp(state, "full") == 0 ? ": FULL, nothing is written"
                                                     : "";
    char free[TEXT_NUMBER_SIZE], size[TEXT_NUMBER_SIZE];
    snprintf(buf, DISK_SIZE, "%s of %s%s", print_size(m->disk_free, free), print_size(m->disk_size, size), means);
    return buf;
}

static void add_room(struct printer *p, const Tidemill__V1__StatusReply *m)
{
    char disk[DISK_SIZE], age[AGE_SIZE], reserve[TEXT_NUMBER_SIZE];
    add_total(p, "log begins at", cell_count(m->log_first_position));
    add_total(p, "log kept bytes", cell_count(m->log_kept_bytes));
    add_total(p, "log oldest, age", m->has_log_oldest ? cell_text(age_text(m->log_oldest, age)) : cell_none());
    if (m->log_overdue_bytes > 0)
        add_total(p, "log overdue bytes, kept for a shard", cell_count(m->log_overdue_bytes));
    add_total(p, "disk free", cell_text(disk_text(m, disk)));
    add_total(p, "disk reserve", cell_text(print_size(m->disk_reserve, reserve)));
}

static void add_tables(struct printer *p, const Tidemill__V1__StatusReply *m)
{
    if (!m->has_table_lookups)
        return;
    add_total(p, "table rows written", cell_count(m->table_rows_written));
    add_total(p, "table rows removed", cell_count(m->table_rows_removed));
    add_total(p, "table lookups", cell_count(m->table_lookups));
    add_total(p, "table cache misses", cell_count(m->table_cache_misses));
    add_total(p, "table cache bytes", cell_count(m->table_cache_bytes));
}

static void print_totals(const Tidemill__V1__StatusReply *m)
{
    static const char *const names[] = {"node", "value"};
    char text[CLOCK_TEXT_SIZE];
    uint64_t undecided = 0;
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < m->n_shards; i++)
        undecided += m->shards[i]->undecided;
    add_total(p, "generation", cell_text(m->generation));
    add_total(p, "decided up to", cell_text(m->has_as_of ? clock_text(m->as_of, text) : "no time yet"));
    add_total(p, "position", cell_count(m->position));
    add_total(p, "applied position", cell_count(m->applied_position));
    add_total(p, "undecided samples", cell_count(undecided));
    add_total(p, "imbalance", cell_signed(m->imbalance));
    add_total(p, "shards", cell_count(m->n_shards));
    add_total(p, "producers", cell_count(m->producers));
    add_total(p, "commits", cell_count(m->commits));
    add_total(p, "commit bytes", cell_count(m->commit_bytes));
    add_total(p, "log bytes", cell_count(m->log_bytes));
    add_total(p, "log syncs", cell_count(m->log_syncs));
    add_total(p, "log sync ms, mean", cell_number(m->log_sync_ms_mean));
    add_total(p, "log sync ms, max", cell_number(m->log_sync_ms_max));
    add_room(p, m);
    add_tables(p, m);
    add_total(p, "recovery ms", cell_number(m->recovery_ms));
    add_total(p, "recovered events", cell_count(m->recovered_events));
    add_total(p, "pid", cell_signed(m->pid));
    add_total(p, "data", cell_text(m->data));
    printer_close(p);
}

static uint64_t set_aside(const Tidemill__V1__StatusReply *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < m->n_streams; i++) {
        const Tidemill__V1__StreamStatus *s = m->streams[i];
        n += s->late + s->orphaned + s->duplicate + s->malformed + s->filtered + s->shed;
    }
    return n;
}

static void print_people(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    const Tidemill__V1__StatusReply *m = (const Tidemill__V1__StatusReply *)reply;
    print_streams(m);
    putchar('\n');
    print_fates(m);
    putchar('\n');
    print_versions(m);
    putchar('\n');
    print_totals(m);
    puts("\ncounters are as of the shards' last commits; \"tidemill drain\" first for exact ones");
    if (set_aside(m) > 0)
        command_hint("what was late, orphaned, duplicate, filtered or shed, and why: tidemill deadletters list");
}

int command_status(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__StatusRequest request = TIDEMILL__V1__STATUS_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, NULL, NULL, NULL, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/Status", &request.base, &tidemill__v1__status_reply__descriptor,
                        print_people);
}
