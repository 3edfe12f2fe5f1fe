#include "client/sample_arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

static void add(char ***list, size_t *count, char *text)
{
    *list = mem_grow(*list, *count + 1, sizeof **list);
    (*list)[(*count)++] = text;
}

bool sample_argument(Tidemill__V1__SampleFilter *f, int key, char *argument)
{
    switch (key) {
    case SAMPLE_KEY_VERSION: add(&f->versions, &f->n_versions, argument); return true;
    case SAMPLE_KEY_DOC: add(&f->docs, &f->n_docs, argument); return true;
    case SAMPLE_KEY_USER: add(&f->users, &f->n_users, argument); return true;
    case SAMPLE_KEY_REQUEST: add(&f->requests, &f->n_requests, argument); return true;
    default: return false;
    }
}

void sample_filter_close(Tidemill__V1__SampleFilter *f)
{
    free(f->versions);
    free(f->docs);
    free(f->users);
    free(f->requests);
}

int64_t command_time(const char *option, const char *text, struct argp_state *state)
{
    int64_t ms;
    char *end;
    if (clock_parse(bytes_text(text), &ms))
        return ms;
    errno = 0;
    ms = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        argp_error(state, "%s: got \"%s\"; expected a time like 2019-11-24T00:00:12Z, or milliseconds since 1970",
                   option, text);
    return ms;
}

uint64_t command_number(const char *option, const char *text, uint64_t min, uint64_t max, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || *end || *text == '-' || errno || v < min || v > max)
        argp_error(state, "%s: got \"%s\"; expected a number from %" PRIu64 " to %" PRIu64, option, text, min, max);
    return v;
}
