/* Another encoder for a version while the engine runs: looked at, kept, and then a control record, as at a start. */
#include <stdio.h>

#include "base/log.h"
#include "ps/engine/parameter_changes.h"
#include "ps/engine/parts.h"

static enum tm_code check_width(const struct version *v, const struct encoder *encoder, struct tm_error *err)
{
    uint32_t width = encoder_width(encoder);
    if (width == v->config.dimension)
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "file: it makes %u numbers; expected %u, the dimension of version %s",
                        width, v->config.dimension, v->name);
}

/* Its documents would begin anew with what was learned, or said, of the representation that it leaves. */
enum tm_code encoder_check_change(const struct version *v, const struct encoder_id *before,
                                  const struct encoder_id *after, struct tm_error *err)
{
    if (!v->weight_prior || strcmp(before->text, after->text) == 0)
        return TM_OK;
    return tm_error_set(err, TM_FAILED_PRECONDITION,
                        "version %s was made with a prior of every weight (%s), which is of representation %s; "
                        "weights of %s are others: keep its encoder, and give the new one a version of its own",
                        v->name, v->prior_source, before->text, after->text);
}

/* What is forgotten is said by the same plan as a reset of all documents. */
enum tm_code engine_plan_encoder(struct engine *e, const struct version *v, const char *file,
                                 struct engine_encoder_plan *out, struct tm_error *err)
{
    const char *before = engine_version_encoder(e, v);
    struct encoder *encoder = NULL;
    size_t all = 0;
    *out = (struct engine_encoder_plan){{{0}}, {{0}}, {0}};
    if (!before)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "version %s takes features as they come; expected one that was made with an encoder",
                            v->name);
    enum tm_code rc = encoders_read(file, &encoder, err);
    if (rc == TM_OK)
        rc = check_width(v, encoder, err);
    if (rc == TM_OK) {
        snprintf(out->before.text, sizeof out->before.text, "%s", before);
        out->after = encoder_representation(encoder);
        rc = encoder_check_change(v, &out->before, &out->after, err);
    }
    if (rc == TM_OK)
        engine_plan_reset(e, v, NULL, &all, &out->forgotten);
    encoder_close(encoder);
    return rc;
}

/* What the configuration names for the version; "": nothing. */
static struct encoder_id configured(const struct engine *e, const struct version *v)
{
    for (uint32_t i = 0; i < e->configured_encoders; i++)
        if (e->configured_encoder[i].version == v->id)
            return e->configured_encoder[i].id;
    return (struct encoder_id){{0}};
}

/* The file is in the data directory and can be opened before any shard is told to. */
static enum tm_code keep(struct engine *e, const struct version *v, const char *file, struct encoder_id *id,
                         struct tm_error *err)
{
    enum tm_code rc = encoders_keep(e->encoders, file, id, err);
    const struct encoder *kept = rc == TM_OK ? encoders_find(e->encoders, id, err) : NULL;
    if (rc == TM_OK && !kept)
        rc = err->code;
    return rc == TM_OK ? check_width(v, kept, err) : rc;
}

static enum tm_code append(struct engine *e, const struct version *v, const struct encoder_id *id,
                           const struct audit_note *note, uint64_t *position, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    const struct encoder_id named = configured(e, v);
    const struct encoder_id *before = catalog_encoder(&e->catalog, v->id);
    if (strcmp(before->text, id->text) == 0) {
        *position = engine_applied(e);
        return TM_OK;
    }
    if (encoder_check_change(v, before, id, err) != TM_OK)
        return err->code;
    log_line("info", "new_representation", "version=%s was=%s is=%s its documents begin anew", v->name, before->text,
             id->text);
    catalog_pack_encoder_by_hand(v->id, id, &named, note, &control);
    return control_append(e, &control, position, err);
}

enum tm_code engine_set_encoder(struct engine *e, const struct version *v, const char *file,
                                const struct audit_note *note, uint64_t *position, struct tm_error *err)
{
    struct encoder_id id;
    enum tm_code rc = keep(e, v, file, &id, err);
    if (rc != TM_OK)
        return rc;
    pthread_mutex_lock(&e->control);
    rc = append(e, v, &id, note, position, err);
    pthread_mutex_unlock(&e->control);
    return rc;
}
