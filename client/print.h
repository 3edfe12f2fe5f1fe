/* client/print.h - rows of named values as a table for people, or as CSV or JSON for programs.
 *
 * Table    aligned, columns of numbers to the right, numbers to six digits, counts with thousands separators, times in
 *          UTC; control characters escaped.
 * CSV      RFC 4180 with plain line ends: a header line, fields quoted where they must be; numbers as %.17g, times in
 *          ms.
 * JSON     names as given; numbers as %.17g, what is not finite as null, times in ms. RFC 8259, UTF-8 as it comes.
 * Memory   a table is kept whole until printer_close, since widths depend on all rows; CSV and JSON pass through.
 * Threads  a printer belongs to one. */
#ifndef TIDEMILL_CLIENT_PRINT_H
#define TIDEMILL_CLIENT_PRINT_H

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/text.h"

enum output { OUTPUT_TABLE, OUTPUT_CSV, OUTPUT_JSON };

enum cell_kind { CELL_NONE, CELL_TEXT, CELL_COUNT, CELL_SIGNED, CELL_NUMBER, CELL_TIME, CELL_BOOL };

struct cell {
    enum cell_kind kind;
    union {
        const char *text;
        uint64_t count;
        int64_t integer; /* CELL_SIGNED; CELL_TIME: ms since 1970 */
        double number;
        bool truth;
    };
};

static inline struct cell cell_none(void) { return (struct cell){.kind = CELL_NONE}; }
static inline struct cell cell_text(const char *v)
{
    return (struct cell){.kind = v ? CELL_TEXT : CELL_NONE, .text = v};
}
static inline struct cell cell_count(uint64_t v) { return (struct cell){.kind = CELL_COUNT, .count = v}; }
static inline struct cell cell_signed(int64_t v) { return (struct cell){.kind = CELL_SIGNED, .integer = v}; }
static inline struct cell cell_number(double v) { return (struct cell){.kind = CELL_NUMBER, .number = v}; }
static inline struct cell cell_time(int64_t v) { return (struct cell){.kind = CELL_TIME, .integer = v}; }
static inline struct cell cell_bool(bool v) { return (struct cell){.kind = CELL_BOOL, .truth = v}; }

struct printer;

/* JSON: the rows are the elements of an array. The names are the caller's, until printer_close. */
struct printer *printer_open(FILE *out, enum output output, const char *const *names, size_t columns);
void printer_row(struct printer *p, const struct cell *cells);
void printer_close(struct printer *p); /* prints what is left; the caller ends the line behind a JSON array */

/* "name": value, ... without braces. */
void print_json_fields(FILE *out, const char *const *names, const struct cell *cells, size_t count);
void print_json_value(FILE *out, const struct cell *cell);

/* A message as JSON, see proto/json.h. */
void print_json_message(FILE *out, const ProtobufCMessage *message);
void print_json_line(const ProtobufCMessage *message); /* on stdout, with the line's end */

/* For a terminal: control characters as \n, \x1b, ... */
void print_escaped(FILE *out, const char *text);

const char *print_size(uint64_t bytes, char buf[static TEXT_NUMBER_SIZE]); /* "29.0 GiB"; returns buf */

#endif
