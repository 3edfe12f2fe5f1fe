#include "ps/state/catalog_encoder.h"

#include "proto/wire.h"

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

static struct encoder_id *encoder_of(const struct catalog *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (c->version[i]->id == id)
            return &c->encoder[i];
    return NULL;
}

const struct encoder_id *catalog_encoder(const struct catalog *c, uint32_t id)
{
    const struct encoder_id *encoder = encoder_of(c, id);
    CHECK(encoder);
    return encoder;
}

enum tm_code catalog_encoder_change(struct catalog *c, const Tidemill__V1__VersionEncoder *spec, bool *changed,
                                    struct tm_error *err)
{
    struct encoder_id *encoder = encoder_of(c, spec->id), next;
    enum tm_code rc = catalog_encoder_read(spec->encoder, &next, err);
    if (rc != TM_OK)
        return rc;
    if (!encoder || !encoder->text[0] || !next.text[0])
        return tm_error_set(err, TM_DATA_LOSS, "version %u of %u gets encoder \"%s\": that makes no sense", spec->id,
                            c->versions, next.text);
    *changed = strcmp(encoder->text, next.text) != 0;
    *encoder = next;
    return TM_OK;
}

void catalog_pack_encoder(uint32_t version, const struct encoder_id *encoder, struct buffer *out)
{
    Tidemill__V1__VersionEncoder spec = TIDEMILL__V1__VERSION_ENCODER__INIT;
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    spec.has_id = true;
    spec.id = version;
    spec.encoder = (char *)(uintptr_t)encoder->text; /* protobuf-c has no const */
    control.encoder = &spec;
    wire_pack(&control.base, out);
}
