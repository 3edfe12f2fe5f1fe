/* ps/state/audit.h - which parameters were changed by hand: what, by whom, when and why.
 *
 * A list of words that is folded from control records like the rest of a catalog, so it survives whatever the records
 * do.
 * Bound    the newest AUDIT_MAX; the oldest goes when one more comes.
 * Memory   owned, until audit_close(). {0} is empty. */
#ifndef TIDEMILL_PS_STATE_AUDIT_H
#define TIDEMILL_PS_STATE_AUDIT_H

#include "base/bytes.h"
#include "base/error.h"
#include "tidemill/v1/control.pb-c.h"

enum { AUDIT_MAX = 32, AUDIT_BY_MAX = 64, AUDIT_REASON_MAX = 200, AUDIT_WHAT_MAX = 160 };

/* by: at most AUDIT_BY_MAX bytes, reason: at most AUDIT_REASON_MAX; UTF-8. time_ms: wall clock. */
struct audit_note {
    const char *by, *reason;
    int64_t time_ms;
};

struct audit_entry {
    uint32_t version;
    int64_t time_ms;
    char what[AUDIT_WHAT_MAX + 1], by[AUDIT_BY_MAX + 1], reason[AUDIT_REASON_MAX + 1];
};

struct audit {
    struct audit_entry *entry; /* oldest first */
    uint32_t count;
};

void audit_close(struct audit *a);

/* note: as it was stored; TM_DATA_LOSS: a text is too long, or missing. */
enum tm_code audit_add(struct audit *a, uint32_t version, const char *what, const Tidemill__V1__ChangeNote *note,
                       struct tm_error *err);

/* The note as a message, for packing. */
void audit_note_describe(const struct audit_note *note, Tidemill__V1__ChangeNote *out);

struct audit_parts {
    Tidemill__V1__ChangeNote note[AUDIT_MAX];
    Tidemill__V1__ParameterChange change[AUDIT_MAX], *list[AUDIT_MAX];
};
void audit_describe(const struct audit *a, struct audit_parts *out);
enum tm_code audit_read(struct audit *a, const Tidemill__V1__ParameterChange *change, struct tm_error *err);

#endif
