#include "client/print.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "proto/json.h"

enum { GAP = 2, NUMBER_SIZE = 40 };

struct printer {
    FILE *out;
    enum output output;
    const char *const *names;
    size_t columns, rows;
    struct buffer cells;   /* table: each cell's escaped text with its NUL, row by row, the names first */
    size_t *width;         /* of each column, in characters */
    enum cell_kind *kinds; /* of each column: numbers stand right; with one word among them, left */
};

const char *print_size(uint64_t bytes, char buf[static TEXT_NUMBER_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        v /= 1024;
    snprintf(buf, TEXT_NUMBER_SIZE, "%.*f %s", unit ? 1 : 0, v, units[unit]);
    return buf;
}

/* Append text as a terminal may see it: C0, DEL and the C1 controls (U+0080 to U+009F) escaped. */
static void put_escaped(struct buffer *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        char escape[8];
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
        unsigned value = c1 ? p[1] : p[0];
        if (!c1 && value >= 0x20 && value != 0x7f) {
            buffer_put(b, p, 1);
            continue;
        }
        const char *letter = value == '\n' ? "\\n" : value == '\r' ? "\\r" : value == '\t' ? "\\t" : NULL;
        int size = snprintf(escape, sizeof escape, letter ? "%s" : "%s%02x", letter ? letter : "\\x", value);
        buffer_put(b, escape, (size_t)size);
        p += c1;
    }
}

void print_escaped(FILE *out, const char *text)
{
    CLEANUP(buffer_close) struct buffer b = {0};
    put_escaped(&b, text);
    if (b.size)
        fwrite(b.data, 1, b.size, out);
}

/* Characters, as long as each takes one column: every byte but the continuations of UTF-8. */
static size_t text_width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* ---- programs ---- */

/* The value of anything but text, as programs read it; "" when there is none. */
static const char *plain_value(const struct cell *c, char buf[static NUMBER_SIZE])
{
    buf[0] = '\0';
    switch (c->kind) {
    case CELL_NONE:
    case CELL_TEXT: break;
    case CELL_COUNT: snprintf(buf, NUMBER_SIZE, "%" PRIu64, c->count); break;
    case CELL_SIGNED:
    case CELL_TIME: snprintf(buf, NUMBER_SIZE, "%" PRId64, c->integer); break;
    case CELL_NUMBER:
        if (isfinite(c->number))
            snprintf(buf, NUMBER_SIZE, "%.17g", c->number);
        break;
    case CELL_BOOL: return c->truth ? "true" : "false";
    }
    return buf;
}

static void csv_text(FILE *out, const char *text)
{
    if (!strpbrk(text, "\",\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void csv_row(struct printer *p, const struct cell *cells)
{
    char number[NUMBER_SIZE];
    for (size_t i = 0; i < p->columns; i++) {
        if (i > 0)
            fputc(',', p->out);
        csv_text(p->out, cells[i].kind == CELL_TEXT ? cells[i].text : plain_value(&cells[i], number));
    }
    fputs("\n", p->out);
}

static void json_text(FILE *out, const char *text)
{
    CLEANUP(buffer_close) struct buffer quoted = {0};
    json_put_text(&quoted, bytes_text(text));
    fwrite(quoted.data, 1, quoted.size, out);
}

void print_json_value(FILE *out, const struct cell *cell)
{
    char number[NUMBER_SIZE];
    const char *value = plain_value(cell, number);
    if (cell->kind == CELL_TEXT)
        json_text(out, cell->text);
    else
        fputs(*value ? value : "null", out);
}

void print_json_fields(FILE *out, const char *const *names, const struct cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        json_text(out, names[i]);
        fputs(": ", out);
        print_json_value(out, &cells[i]);
    }
}

static void json_row(struct printer *p, const struct cell *cells)
{
    fputs(p->rows ? ",\n  {" : "\n  {", p->out);
    print_json_fields(p->out, p->names, cells, p->columns);
    fputc('}', p->out);
}

/* ---- people ---- */

static bool stands_right(enum cell_kind kind)
{
    return kind == CELL_COUNT || kind == CELL_SIGNED || kind == CELL_NUMBER;
}

static void table_text(struct printer *p, size_t column, const char *text)
{
    size_t from = p->cells.size;
    put_escaped(&p->cells, text);
    buffer_put_u8(&p->cells, 0);
    size_t width = text_width((const char *)p->cells.data + from);
    if (width > p->width[column])
        p->width[column] = width;
}

static void table_cell(struct printer *p, size_t column, const struct cell *c)
{
    char text[CLOCK_TEXT_SIZE + NUMBER_SIZE];
    if (p->kinds[column] == CELL_NONE || (c->kind != CELL_NONE && !stands_right(c->kind)))
        p->kinds[column] = c->kind;
    switch (c->kind) {
    case CELL_NONE: table_text(p, column, "-"); break;
    case CELL_TEXT: table_text(p, column, c->text); break;
    case CELL_COUNT: table_text(p, column, text_count(c->count, text)); break;
    case CELL_NUMBER:
        snprintf(text, sizeof text, "%.6g", c->number);
        table_text(p, column, text);
        break;
    case CELL_TIME: table_text(p, column, clock_text(c->integer, text)); break;
    case CELL_SIGNED:
    case CELL_BOOL: table_text(p, column, plain_value(c, text)); break;
    }
}

static void table_print(struct printer *p)
{
    const char *text = (const char *)p->cells.data;
    for (size_t row = 0; row <= p->rows; row++) {
        for (size_t i = 0; i < p->columns; i++) {
            int pad = (int)(p->width[i] - text_width(text));
            bool right = stands_right(p->kinds[i]), last = i + 1 == p->columns;
            fprintf(p->out, "%*s%s", right ? pad : 0, "", text);
            fprintf(p->out, "%*s", last ? 0 : GAP + (right ? 0 : pad), "");
            text += strlen(text) + 1;
        }
        fputc('\n', p->out);
    }
}

/* ---- printer ---- */

struct printer *printer_open(FILE *out, enum output output, const char *const *names, size_t columns)
{
    struct printer *p = mem_new(1, sizeof *p);
    *p = (struct printer){.out = out, .output = output, .names = names, .columns = columns};
    p->width = mem_new(columns, sizeof *p->width);
    p->kinds = mem_new(columns, sizeof *p->kinds);
    for (size_t i = 0; output == OUTPUT_TABLE && i < columns; i++)
        table_text(p, i, names[i]);
    for (size_t i = 0; output == OUTPUT_CSV && i < columns; i++) {
        fputs(i ? "," : "", out);
        csv_text(out, names[i]);
    }
    if (output != OUTPUT_TABLE)
        fputs(output == OUTPUT_CSV ? "\n" : "[", out);
    return p;
}

void printer_row(struct printer *p, const struct cell *cells)
{
    if (p->output == OUTPUT_CSV)
        csv_row(p, cells);
    else if (p->output == OUTPUT_JSON)
        json_row(p, cells);
    for (size_t i = 0; p->output == OUTPUT_TABLE && i < p->columns; i++)
        table_cell(p, i, &cells[i]);
    p->rows++;
}

void printer_close(struct printer *p)
{
    if (p->output == OUTPUT_TABLE)
        table_print(p);
    else if (p->output == OUTPUT_JSON)
        fputs(p->rows ? "\n]" : "]", p->out);
    buffer_close(&p->cells);
    free(p->width);
    free(p->kinds);
    free(p);
}
