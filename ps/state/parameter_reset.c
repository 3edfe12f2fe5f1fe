#include "ps/state/parameter_reset.h"

#include <stdio.h>

#include "proto/event.h"
#include "proto/wire.h"

enum { RESET_BYTES_MAX = 2 * PARAMETER_RESET_DOCS_MAX * EVENT_ID_MAX };

void parameter_reset_pack(const struct parameter_reset *reset, struct buffer *out)
{
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    Tidemill__V1__ParameterReset m = TIDEMILL__V1__PARAMETER_RESET__INIT;
    Tidemill__V1__ChangeNote note;
    audit_note_describe(&reset->note, &note);
    m.has_id = m.has_all = true;
    m.id = reset->version;
    m.all = reset->count == 0;
    m.n_docs = reset->count;
    m.docs = (char **)(uintptr_t)reset->docs;
    m.note = &note;
    control.reset = &m;
    wire_pack(&control.base, out);
}

/* "reset of d1, d2, ...": names that do not fit whole are left out. */
static void put_words(const Tidemill__V1__ParameterReset *m, char out[static AUDIT_WHAT_MAX + 1])
{
    static const char more[] = ", ...";
    size_t used = (size_t)snprintf(out, AUDIT_WHAT_MAX + 1, "reset of %s", m->all ? "all documents" : "");
    for (size_t i = 0; i < m->n_docs; i++) {
        size_t size = strlen(m->docs[i]), room = AUDIT_WHAT_MAX - used;
        if (size + 2 * sizeof more > room) {
            snprintf(out + used, room + 1, "%s (%zu documents)", i ? more : "", m->n_docs);
            return;
        }
        used += (size_t)snprintf(out + used, room + 1, "%s%s", i ? ", " : "", m->docs[i]);
    }
}

enum tm_code parameter_reset_note(struct catalog *c, const Tidemill__V1__ParameterReset *m, struct tm_error *err)
{
    char what[AUDIT_WHAT_MAX + 1];
    if (!catalog_by_id(c, m->id))
        return tm_error_set(err, TM_DATA_LOSS, "a reset of version %u of %u", m->id, c->versions);
    if (m->n_docs > PARAMETER_RESET_DOCS_MAX || (m->n_docs == 0) != m->all)
        return tm_error_set(err, TM_DATA_LOSS, "a reset of %zu documents%s; expected 1 to %d, or all", m->n_docs,
                            m->all ? " and all" : "", PARAMETER_RESET_DOCS_MAX);
    put_words(m, what);
    return audit_add(&c->audit, m->id, what, m->note, err);
}

bool parameter_reset_visit(struct bytes control, void (*visit)(void *context, struct bytes doc), void *context)
{
    Tidemill__V1__Control *m =
        (Tidemill__V1__Control *)wire_unpack(&tidemill__v1__control__descriptor, control, RESET_BYTES_MAX, NULL);
    CHECK(m && m->reset); /* the catalog has taken it */
    bool some = !m->reset->all;
    for (size_t i = 0; i < m->reset->n_docs; i++)
        visit(context, bytes_text(m->reset->docs[i]));
    wire_free(&m->base);
    return some;
}
