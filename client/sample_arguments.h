/* client/sample_arguments.h - which samples: the options that `samples tail`, `export` and `verify` share.
 *
 * Memory   lists grow here; their texts are argv's. Threads: one. */
#ifndef TIDEMILL_CLIENT_SAMPLE_ARGUMENTS_H
#define TIDEMILL_CLIENT_SAMPLE_ARGUMENTS_H

#include "client/commands.h"
#include "tidemill/v1/samples.pb-c.h"

enum { SAMPLE_KEY_VERSION = 500, SAMPLE_KEY_DOC, SAMPLE_KEY_USER, SAMPLE_KEY_REQUEST, SAMPLE_KEY_FROM, SAMPLE_KEY_TO };

/* Rows of an argp_option table. */
#define SAMPLE_ID_OPTIONS                                                                         \
    {"version", SAMPLE_KEY_VERSION, "NAME", 0, "Samples of this version; may be given again", 0}, \
        {"doc", SAMPLE_KEY_DOC, "ID", 0, "Of this document; may be given again", 0},              \
        {"user", SAMPLE_KEY_USER, "ID", 0, "Of this user; may be given again", 0},                \
    {                                                                                             \
        "request", SAMPLE_KEY_REQUEST, "ID", 0, "Of this request; may be given again", 0          \
    }

/* Takes an option of SAMPLE_ID_OPTIONS; false: it is none of them. */
bool sample_argument(Tidemill__V1__SampleFilter *filter, int key, char *argument);
void sample_filter_close(Tidemill__V1__SampleFilter *filter);

/* RFC 3339, or milliseconds since 1970; leaves with a usage error otherwise. */
int64_t command_time(const char *option, const char *text, struct argp_state *state);
/* A whole number within bounds; likewise. */
uint64_t command_number(const char *option, const char *text, uint64_t min, uint64_t max, struct argp_state *state);

#endif
