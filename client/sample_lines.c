/* Samples as lines for a terminal: widths are fixed, because a tail has no end. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/print.h"
#include "client/sample_format.h"

struct lines_writer {
    struct sample_writer writer;
    FILE *out;
};

static enum tm_code lines_begin(struct sample_writer *writer, const struct sample_names *names, struct tm_error *err)
{
    struct lines_writer *w = (struct lines_writer *)writer;
    (void)names;
    fprintf(w->out, "%-24s  %-10s  %-12s  %-24s  %-16s  %-9s  %s\n", "decided", "kind", "version", "request", "doc",
            "after", "labels");
    return sample_written(w->out, err);
}

/* "3.2 s", "12 min" */
static const char *delay_text(int64_t ms, char text[static TEXT_NUMBER_SIZE])
{
    double s = (double)ms / 1000;
    if (s < 120)
        snprintf(text, TEXT_NUMBER_SIZE, "%.1f s", s);
    else if (s < 7200)
        snprintf(text, TEXT_NUMBER_SIZE, "%.1f min", s / 60);
    else
        snprintf(text, TEXT_NUMBER_SIZE, "%.1f h", s / 3600);
    return text;
}

static void put_padded(FILE *out, const char *text, int width)
{
    print_escaped(out, *text ? text : "-");
    fprintf(out, "%*s  ", (int)(strlen(text) < (size_t)width ? (size_t)width - strlen(text) : 0), "");
}

static enum tm_code lines_sample(struct sample_writer *writer, const struct sample_view *s, struct tm_error *err)
{
    struct lines_writer *w = (struct lines_writer *)writer;
    char time[CLOCK_TEXT_SIZE], delay[TEXT_NUMBER_SIZE];
    fprintf(w->out, "%-24s  %-10s  ", clock_text(s->decision_time, time), s->corrects ? "correction" : "new");
    put_padded(w->out, s->version, 12);
    put_padded(w->out, s->request, 24);
    put_padded(w->out, s->doc, 16);
    fprintf(w->out, "%9s ", delay_text(s->decision_time - s->impression_time, delay));
    for (size_t i = 0; i < s->names->labels; i++) {
        fputc(' ', w->out);
        print_escaped(w->out, s->names->label[i]);
        if (s->corrects && s->old_label[i] != s->label[i])
            fprintf(w->out, "=%g->%g", s->old_label[i], s->label[i]);
        else
            fprintf(w->out, "=%g", s->label[i]);
    }
    fputc('\n', w->out);
    return sample_written(w->out, err);
}

static enum tm_code lines_close(struct sample_writer *writer, struct tm_error *err)
{
    struct lines_writer *w = (struct lines_writer *)writer;
    fflush(w->out);
    enum tm_code rc = sample_written(w->out, err);
    free(w);
    return rc;
}

struct sample_writer *sample_lines_open(FILE *out)
{
    struct lines_writer *w = mem_new(1, sizeof *w);
    *w = (struct lines_writer){.writer = {lines_begin, lines_sample, lines_close}, .out = out};
    return &w->writer;
}
