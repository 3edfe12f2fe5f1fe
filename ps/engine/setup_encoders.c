/* The encoders of the configuration: kept in the data directory, and what is done when one is another than it was. */
#include "base/log.h"
#include "ps/engine/parts.h"

enum tm_code setup_encoders(struct engine *e, struct catalog *wanted, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    for (uint32_t i = 0; rc == TM_OK && i < wanted->versions; i++)
        if (wanted->version[i]->encoded)
            rc = encoders_keep(e->encoders, e->options.version[i].encoder, &wanted->encoder[i], err);
    return rc;
}

/* NULL: the version is new, has no encoder, or the same one. */
static const struct version *other_encoder(const struct engine *e, const struct catalog *wanted, uint32_t i)
{
    const struct version *old = catalog_find(&e->catalog, bytes_text(wanted->version[i]->name));
    if (!old || !old->encoded || strcmp(catalog_encoder(&e->catalog, old->id)->text, wanted->encoder[i].text) == 0)
        return NULL;
    return old;
}

enum tm_code setup_compare_encoders(const struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    for (uint32_t i = 0; i < wanted->versions; i++) {
        const struct version *old = other_encoder(e, wanted, i);
        if (old && e->options.version[i].on_new_representation == NEW_REPRESENTATION_REFUSE)
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
