/* The encoders of the configuration: kept in the data directory, and what is done when one is another than it was. */
#include <stdlib.h>

#include "base/log.h"
#include "ps/engine/parts.h"

enum tm_code setup_encoders(struct engine *e, struct catalog *wanted, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    for (uint32_t i = 0; rc == TM_OK && i < wanted->versions; i++)
        if (wanted->version[i]->encoded)
            rc = encoders_keep(e->encoders, e->configured->version[i].encoder, &wanted->encoder[i], err);
    return rc;
}

/* What the configuration has named all along does not take back what was done by hand since. */
static bool is_superseded(const struct engine *e, const struct version *old, const struct encoder_id *named)
{
    return strcmp(catalog_configured_encoder(&e->catalog, old->id)->text, named->text) == 0;
}

/* NULL: the version is new, has no encoder, or is to keep the one it has. */
static const struct version *other_encoder(const struct engine *e, const struct catalog *wanted, uint32_t i)
{
    const struct version *old = catalog_find(&e->catalog, bytes_text(wanted->version[i]->name));
    if (!old || !old->encoded || strcmp(catalog_encoder(&e->catalog, old->id)->text, wanted->encoder[i].text) == 0 ||
        is_superseded(e, old, &wanted->encoder[i]))
        return NULL;
    return old;
}

static void tell_superseded(const struct engine *e, const struct catalog *wanted)
{
    for (uint32_t i = 0; i < wanted->versions; i++) {
        const struct version *old = catalog_find(&e->catalog, bytes_text(wanted->version[i]->name));
        if (old && old->encoded && is_superseded(e, old, &wanted->encoder[i]))
            log_line("info", "encoder_superseded",
                     "version=%s configured=%s is=%s by \"tidemill version encoder\"; let the configuration name that",
                     old->name, wanted->encoder[i].text, catalog_encoder(&e->catalog, old->id)->text);
    }
}

enum tm_code setup_compare_encoders(const struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    for (uint32_t i = 0; i < wanted->versions; i++) {
        const struct version *old = other_encoder(e, wanted, i);
        enum tm_code rc =
            old ? encoder_check_change(old, catalog_encoder(&e->catalog, old->id), &wanted->encoder[i], err) : TM_OK;
        if (rc != TM_OK)
            return rc;
        if (old && e->configured->version[i].on_new_representation == NEW_REPRESENTATION_REFUSE)
            return tm_error_set(err, TM_FAILED_PRECONDITION,
                                "version %s learns from representation %s, and its encoder makes %s now; put the old "
                                "file back, give the new one a version of its own, or let the version begin anew with "
                                "it (on_new_representation: reset)",
                                old->name, catalog_encoder(&e->catalog, old->id)->text, wanted->encoder[i].text);
    }
    return TM_OK;
}

enum tm_code setup_apply_encoders(struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    tell_superseded(e, wanted);
    for (uint32_t i = 0; rc == TM_OK && i < wanted->versions; i++) {
        const struct version *old = other_encoder(e, wanted, i);
        CLEANUP(buffer_close) struct buffer control = {0};
        uint64_t position;
        if (!old)
            continue;
        log_line("info", "new_representation", "version=%s was=%s is=%s its documents begin anew", old->name,
                 catalog_encoder(&e->catalog, old->id)->text, wanted->encoder[i].text);
        catalog_pack_encoder(old->id, &wanted->encoder[i], &control);
        rc = control_append(e, &control, &position, err);
    }
    return rc;
}

void setup_remember_encoders(struct engine *e, const struct catalog *wanted)
{
    free(e->configured_encoder);
    e->configured_encoder = mem_new(wanted->versions, sizeof *e->configured_encoder);
    e->configured_encoders = wanted->versions;
    for (uint32_t i = 0; i < wanted->versions; i++)
        e->configured_encoder[i] = (struct configured_encoder){wanted->version[i]->id, wanted->encoder[i]};
}
