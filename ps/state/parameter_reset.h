/* ps/state/parameter_reset.h - the control record of a reset: documents of a version begin anew with the prior.
 *
 * Bound    PARAMETER_RESET_DOCS_MAX documents in one record, or all of the version.
 * Memory   views into the caller's bytes. Threads: pure. */
#ifndef TIDEMILL_PS_STATE_PARAMETER_RESET_H
#define TIDEMILL_PS_STATE_PARAMETER_RESET_H

#include "ps/state/audit.h"
#include "ps/state/catalog.h"

enum { PARAMETER_RESET_DOCS_MAX = 100 };

struct parameter_reset {
    uint32_t version;
    const char *const *docs; /* of 1 to EVENT_ID_MAX bytes */
    size_t count;            /* 0: all documents */
    struct audit_note note;
};

void parameter_reset_pack(const struct parameter_reset *reset, struct buffer *out);

/* For catalog_apply(): check it and put it on the list of changes. TM_DATA_LOSS: no such version; no documents, or too
 * many. */
enum tm_code parameter_reset_note(struct catalog *c, const Tidemill__V1__ParameterReset *m, struct tm_error *err);

/* What a packed Control that catalog_apply() took as a reset is about: every document of it; or false, and all are. */
bool parameter_reset_visit(struct bytes control, void (*visit)(void *context, struct bytes doc), void *context);

#endif
