#include "ps/state/audit.h"

#include <stdlib.h>

void audit_close(struct audit *a)
{
    free(a->entry);
    *a = (struct audit){0};
}

static enum tm_code take(char *out, size_t room, const char *text, const char *name, struct tm_error *err)
{
    size_t size = text ? strlen(text) : 0;
    if (size > room)
        return tm_error_set(err, TM_DATA_LOSS, "%s of a change: %zu bytes; expected at most %zu", name, size, room);
    memcpy(out, text ? text : "", size + 1);
    return TM_OK;
}

enum tm_code audit_add(struct audit *a, uint32_t version, const char *what, const Tidemill__V1__ChangeNote *note,
                       struct tm_error *err)
{
    struct audit_entry e = {.version = version, .time_ms = note ? note->time_ms : 0};
    enum tm_code rc = take(e.what, AUDIT_WHAT_MAX, what, "what", err);
    if (rc == TM_OK)
        rc = take(e.by, AUDIT_BY_MAX, note ? note->by : NULL, "by", err);
    if (rc == TM_OK)
        rc = take(e.reason, AUDIT_REASON_MAX, note ? note->reason : NULL, "reason", err);
    if (rc != TM_OK)
        return rc;
    if (a->count == AUDIT_MAX)
        memmove(a->entry, a->entry + 1, --a->count * sizeof *a->entry);
    a->entry = mem_grow(a->entry, a->count + 1, sizeof *a->entry);
    a->entry[a->count++] = e;
    return TM_OK;
}

static char *text(const char *words) { return (char *)(uintptr_t)words; } /* protobuf-c has no const */

void audit_note_describe(const struct audit_note *note, Tidemill__V1__ChangeNote *out)
{
    tidemill__v1__change_note__init(out);
    out->by = text(note->by);
    out->reason = text(note->reason);
    out->has_time_ms = true;
    out->time_ms = note->time_ms;
}

void audit_describe(const struct audit *a, struct audit_parts *out)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct audit_entry *e = &a->entry[i];
        Tidemill__V1__ParameterChange *m = out->list[i] = &out->change[i];
        tidemill__v1__parameter_change__init(m);
        audit_note_describe(&(struct audit_note){e->by, e->reason, e->time_ms}, &out->note[i]);
        m->has_id = true;
        m->id = e->version;
        m->what = text(e->what);
        m->note = &out->note[i];
    }
}

enum tm_code audit_read(struct audit *a, const Tidemill__V1__ParameterChange *change, struct tm_error *err)
{
    return audit_add(a, change->id, change->what, change->note, err);
}
