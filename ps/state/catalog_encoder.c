#include "ps/state/catalog_encoder.h"

#include <stdio.h>

#include "proto/wire.h"

static char *text(const char *name) { return (char *)(uintptr_t)name; } /* protobuf-c has no const */

enum tm_code catalog_encoder_read(const char *name, struct encoder_id *out, struct tm_error *err)
{
    size_t size = name ? strlen(name) : 0;
    *out = (struct encoder_id){0};
    if (size == 0)
        return TM_OK;
    if (size != sizeof out->text - 1 || strspn(name, "0123456789abcdef") != size)
        return tm_error_set(err, TM_DATA_LOSS, "an encoder named \"%.64s\"; expected 32 hexadecimal digits", name);
    memcpy(out->text, name, size);
    return TM_OK;
}

/* c->versions: there is none. */
static uint32_t place_of(const struct catalog *c, uint32_t id)
{
    uint32_t i = 0;
    while (i < c->versions && c->version[i]->id != id)
        i++;
    return i;
}

static uint32_t place_there(const struct catalog *c, uint32_t id)
{
    uint32_t i = place_of(c, id);
    CHECK(i < c->versions);
    return i;
}

const struct encoder_id *catalog_encoder(const struct catalog *c, uint32_t id)
{
    return &c->encoder[place_there(c, id)];
}

const struct encoder_id *catalog_configured_encoder(const struct catalog *c, uint32_t id)
{
    return &c->configured[place_there(c, id)];
}

static enum tm_code note_change(struct catalog *c, const Tidemill__V1__VersionEncoder *spec, const char *before,
                                struct tm_error *err)
{
    char what[AUDIT_WHAT_MAX + 1];
    snprintf(what, sizeof what, "encoder %s -> %s", before, spec->encoder);
    return audit_add(&c->audit, spec->id, what, spec->note, err);
}

enum tm_code catalog_encoder_change(struct catalog *c, const Tidemill__V1__VersionEncoder *spec, bool *changed,
                                    struct tm_error *err)
{
    uint32_t at = place_of(c, spec->id);
    struct encoder_id next, configured;
    enum tm_code rc = catalog_encoder_read(spec->encoder, &next, err);
    if (rc == TM_OK)
        rc = catalog_encoder_read(spec->configured, &configured, err);
    if (rc != TM_OK)
        return rc;
    if (at == c->versions || !c->encoder[at].text[0] || !next.text[0])
        return tm_error_set(err, TM_DATA_LOSS, "version %u of %u gets encoder \"%s\": that makes no sense", spec->id,
                            c->versions, next.text);
    *changed = strcmp(c->encoder[at].text, next.text) != 0;
    if (!*changed)
        return TM_OK;
    if (spec->note)
        rc = note_change(c, spec, c->encoder[at].text, err);
    if (rc != TM_OK)
        return rc;
    c->encoder[at] = next;
    c->configured[at] = configured;
    return TM_OK;
}

void catalog_encoder_describe(const struct catalog *c, uint32_t version, Tidemill__V1__VersionEncoder *out)
{
    tidemill__v1__version_encoder__init(out);
    out->has_id = true;
    out->id = c->version[version]->id;
    out->configured = text(c->configured[version].text);
}

enum tm_code catalog_encoder_restore(struct catalog *c, const Tidemill__V1__VersionEncoder *stored,
                                     struct tm_error *err)
{
    uint32_t at = place_of(c, stored->id);
    if (at == c->versions)
        return tm_error_set(err, TM_DATA_LOSS, "an encoder of version %u of %u", stored->id, c->versions);
    return catalog_encoder_read(stored->configured, &c->configured[at], err);
}

static void pack(Tidemill__V1__VersionEncoder *spec, uint32_t version, const struct encoder_id *encoder,
                 struct buffer *out)
{
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    spec->has_id = true;
    spec->id = version;
    spec->encoder = text(encoder->text);
    control.encoder = spec;
    wire_pack(&control.base, out);
}

void catalog_pack_encoder(uint32_t version, const struct encoder_id *encoder, struct buffer *out)
{
    Tidemill__V1__VersionEncoder spec = TIDEMILL__V1__VERSION_ENCODER__INIT;
    pack(&spec, version, encoder, out);
}

void catalog_pack_encoder_by_hand(uint32_t version, const struct encoder_id *encoder,
                                  const struct encoder_id *configured, const struct audit_note *note,
                                  struct buffer *out)
{
    Tidemill__V1__VersionEncoder spec = TIDEMILL__V1__VERSION_ENCODER__INIT;
    Tidemill__V1__ChangeNote m;
    audit_note_describe(note, &m);
    spec.note = &m;
    spec.configured = configured->text[0] ? text(configured->text) : NULL;
    pack(&spec, version, encoder, out);
}
