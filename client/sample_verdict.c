#include "client/sample_verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/print.h"
#include "proto/json.h"

enum { REASON_SIZE = 96 };

void verdict_close(struct verdict *v)
{
    match_close(v->match);
    for (size_t i = 0; i < v->labels; i++)
        free(v->label[i]);
    free(v->label);
    free(v->delay);
}

static const char *reason_text(const struct verdict *v, int reason, char buf[static REASON_SIZE])
{
    static const char *const names[] = {
        [MATCH_ONLY_HERE] = "only here",          [MATCH_ONLY_THERE] = "only there",
        [MATCH_REPEATED_HERE] = "repeated here",  [MATCH_REPEATED_THERE] = "repeated there",
        [MATCH_WEIGHT] = "weight differs",        [MATCH_FEATURES] = "features differ",
        [MATCH_LEFT_OUT] = "left out by sampling"};
    if (reason < MATCH_LABEL)
        return names[reason];
    snprintf(buf, REASON_SIZE, "label %s differs", v->label[reason - MATCH_LABEL]);
    return buf;
}

static int reasons(const struct verdict *v) { return MATCH_LABEL + (int)v->labels; }

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void verdict_judge(struct verdict *v)
{
    v->delay = mem_new(match_count(v->match) + 1, sizeof *v->delay);
    for (size_t i = 0; i < match_count(v->match); i++) {
        struct match_pair p;
        match_at(v->match, i, &p);
        v->here += p.here;
        v->there += p.there;
        v->same += p.reasons == 0;
        for (int r = 0; r < reasons(v); r++)
            v->count[r] += p.reasons >> r & 1;
        if (p.here)
            v->delay[v->delays++] = p.delay;
    }
    qsort(v->delay, v->delays, sizeof *v->delay, by_size);
}

bool verdict_same(const struct verdict *v) { return v->same + v->count[MATCH_LEFT_OUT] == match_count(v->match); }

/* Where there is no sample, there is no label to miss. */
static bool is_compared(const struct verdict *v, size_t label)
{
    return match_count(v->match) == 0 || (match_told(v->match) >> label & 1);
}

static bool is_complete(const struct verdict *v)
{
    bool labels = true;
    for (size_t i = 0; i < v->labels; i++)
        labels = labels && is_compared(v, i);
    return v->refused == 0 && labels;
}

bool verdict_identical(const struct verdict *v)
{
    return verdict_same(v) && (v->all_labels ? is_complete(v) : v->refused == 0);
}

/* The smallest delay that this share of the samples does not exceed. */
static int64_t delay_quantile(const struct verdict *v, double share)
{
    size_t rank = (size_t)ceil(share * (double)v->delays);
    return v->delay[rank > 0 ? rank - 1 : 0];
}

static double share_of(const struct verdict *v, uint64_t count)
{
    return match_count(v->match) ? (double)count / (double)match_count(v->match) : 0;
}

static const struct {
    const char *name;
    double share;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};

static const char *id_text(const struct match_pair *p, char hex[static 33])
{
    snprintf(hex, 33, "%016" PRIx64 "%016" PRIx64, p->id.hi, p->id.lo);
    return p->has_id ? hex : "";
}

/* ---- for people ---- */

static void print_counts(const struct verdict *v)
{
    static const char *const names[] = {"result", "samples", "share %"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    printer_row(p, (struct cell[]){cell_text("same"), cell_count(v->same), cell_number(100 * share_of(v, v->same))});
    for (int r = 0; r < reasons(v); r++) {
        char buf[REASON_SIZE];
        if (v->count[r] > 0 || r == MATCH_ONLY_HERE || r == MATCH_ONLY_THERE || r >= MATCH_LABEL)
            printer_row(p, (struct cell[]){cell_text(reason_text(v, r, buf)), cell_count(v->count[r]),
                                           cell_number(100 * share_of(v, v->count[r]))});
    }
    printer_close(p);
}

static void labels_text(const struct verdict *v, const double *label, bool there, struct buffer *out)
{
    out->size = 0;
    for (size_t i = 0; there && i < v->labels; i++)
        buffer_print(out, "%s%s=%g", i ? " " : "", v->label[i], label[i]);
    if (!there)
        buffer_put_u8(out, '-');
    buffer_put_u8(out, 0);
}

static void print_examples(const struct verdict *v, uint64_t wanted)
{
    static const char *const names[] = {"because", "version", "request", "doc", "labels here", "labels there", "id"};
    CLEANUP(buffer_close) struct buffer here = {0}, there = {0};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (int r = 0; r < reasons(v); r++) {
        uint64_t left = r == MATCH_LEFT_OUT ? 0 : wanted < v->count[r] ? wanted : v->count[r];
        for (size_t i = 0; left > 0; i++) {
            struct match_pair pair;
            char buf[REASON_SIZE], id[33];
            match_at(v->match, i, &pair);
            if (!(pair.reasons >> r & 1))
                continue;
            left--;
            labels_text(v, pair.label_here, pair.here, &here);
            labels_text(v, pair.label_there, pair.there, &there);
            printer_row(p, (struct cell[]){cell_text(reason_text(v, r, buf)), cell_text(pair.version),
                                           cell_text(pair.request), cell_text(pair.doc),
                                           cell_text((const char *)here.data), cell_text((const char *)there.data),
                                           cell_text(id_text(&pair, id))});
        }
    }
    printer_close(p);
}

static void print_not_compared(const struct verdict *v)
{
    char refused[TEXT_NUMBER_SIZE];
    if (!is_complete(v))
        putchar('\n');
    if (v->refused)
        printf("not compared: %s records that were refused\n", text_count(v->refused, refused));
    for (size_t i = 0; i < v->labels; i++)
        if (!is_compared(v, i))
            printf("not compared: label %s\n", v->label[i]);
}

static const char *last_word(const struct verdict *v)
{
    if (!verdict_same(v))
        return "they differ";
    return is_complete(v) ? "identical" : "the same in what was compared";
}

void verdict_print(const struct verdict *v, uint64_t examples)
{
    char here[TEXT_NUMBER_SIZE], there[TEXT_NUMBER_SIZE];
    printf("%s samples here, %s there, by %s; %s labels\n\n", text_count(v->here, here), text_count(v->there, there),
           match_key_words(v->match), v->first ? "first" : "final");
    print_counts(v);
    if (v->delays) {
        fputs("\nfrom impression to decision:", stdout);
        for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
            printf(" %s %.6g s", quantiles[i].name, (double)delay_quantile(v, quantiles[i].share) / 1000);
        putchar('\n');
    }
    if (!verdict_same(v) && examples) {
        putchar('\n');
        print_examples(v, examples);
    }
    print_not_compared(v);
    printf("\n%s\n", last_word(v));
}

/* ---- for programs ---- */

static void put_labels(const struct verdict *v, const char *key, const double *label, struct buffer *out)
{
    buffer_print(out, ",\"%s\":{", key);
    for (size_t i = 0; i < v->labels; i++) {
        if (i)
            buffer_put_u8(out, ',');
        json_put_text(out, bytes_text(v->label[i]));
        buffer_put_u8(out, ':');
        json_put_number(out, label[i]);
    }
    buffer_put_u8(out, '}');
}

static void put_example(const struct verdict *v, const struct match_pair *p, struct buffer *out)
{
    char id[33];
    const char *const names[] = {"id", "version", "request", "doc"};
    const char *const texts[] = {id_text(p, id), p->version, p->request, p->doc};
    buffer_put_u8(out, '{');
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        buffer_print(out, "%s\"%s\":", i ? "," : "", names[i]);
        if (*texts[i])
            json_put_text(out, bytes_text(texts[i]));
        else
            buffer_print(out, "null");
    }
    if (p->here)
        put_labels(v, "labels_here", p->label_here, out);
    if (p->there)
        put_labels(v, "labels_there", p->label_there, out);
    buffer_put_u8(out, '}');
}

static void put_reason(const struct verdict *v, int reason, uint64_t examples, struct buffer *out)
{
    char buf[REASON_SIZE];
    uint64_t left = examples < v->count[reason] ? examples : v->count[reason];
    buffer_print(out, "{\"reason\":");
    json_put_text(out, bytes_text(reason_text(v, reason, buf)));
    buffer_print(out, ",\"samples\":%" PRIu64 ",\"share\":", v->count[reason]);
    json_put_number(out, share_of(v, v->count[reason]));
    buffer_print(out, ",\"examples\":[");
    bool any = false;
    for (size_t i = 0; left > 0; i++) {
        struct match_pair p;
        match_at(v->match, i, &p);
        if (!(p.reasons >> reason & 1))
            continue;
        if (any)
            buffer_put_u8(out, ',');
        put_example(v, &p, out);
        any = true;
        left--;
    }
    buffer_print(out, "]}");
}

static void put_not_compared(const struct verdict *v, struct buffer *out)
{
    const char *comma = "";
    buffer_print(out, "\"refused\":%" PRIu64 ",\"labels_not_compared\":[", v->refused);
    for (size_t i = 0; i < v->labels; i++) {
        if (is_compared(v, i))
            continue;
        buffer_print(out, "%s", comma);
        json_put_text(out, bytes_text(v->label[i]));
        comma = ",";
    }
    buffer_print(out, "],");
}

void verdict_print_json(const struct verdict *v, uint64_t examples)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    buffer_print(&out, "{\"identical\":%s,\"key\":\"%s\",\"labels\":\"%s\",", verdict_identical(v) ? "true" : "false",
                 match_key_words(v->match), v->first ? "first" : "final");
    buffer_print(&out, "\"here\":%" PRIu64 ",\"there\":%" PRIu64 ",\"same\":%" PRIu64 ",\"lost\":%" PRIu64, v->here,
                 v->there, v->same, v->lost);
    buffer_print(&out, ",\"stray_corrections\":%" PRIu64 ",\"delay_ms\":{", match_stray_corrections(v->match));
    for (size_t i = 0; v->delays && i < ARRAY_LEN(quantiles); i++)
        buffer_print(&out, "%s\"%s\":%" PRId64, i ? "," : "", quantiles[i].name, delay_quantile(v, quantiles[i].share));
    buffer_print(&out, "},");
    put_not_compared(v, &out);
    buffer_print(&out, "\"reasons\":[");
    for (int r = 0; r < reasons(v); r++) {
        if (r)
            buffer_put_u8(&out, ',');
        put_reason(v, r, examples, &out);
    }
    buffer_print(&out, "]}\n");
    fwrite(out.data, 1, out.size, stdout);
}
