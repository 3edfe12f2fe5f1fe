/* What a catalog is asked for: by name, by number, as it stands. */
#include "ps/state/catalog.h"

const struct version *catalog_find(const struct catalog *c, struct bytes name)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (bytes_equal(name, bytes_text(c->version[i]->name)))
            return c->version[i];
    return NULL;
}

const struct version *catalog_by_id(const struct catalog *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (c->version[i]->id == id)
            return c->version[i];
    return NULL;
}

enum version_state catalog_state(const struct catalog *c, uint32_t id)
{
    uint32_t i = 0;
    while (i < c->versions && c->version[i]->id != id)
        i++;
    CHECK(i < c->versions);
    return c->state[i];
}

struct catalog_limits catalog_limits(const struct catalog *c)
{
    return c->limits.slice ? c->limits
                           : (struct catalog_limits){.held_bytes = CATALOG_HELD_BYTES,
                                                     .batch_bytes = CATALOG_BATCH_BYTES,
                                                     .slice = CATALOG_SLICE};
}

int catalog_stream(const struct catalog *c, struct bytes name)
{
    for (uint32_t i = 0; i < c->join.streams; i++)
        if (bytes_equal(name, bytes_text(c->stream_name[i])))
            return (int)i;
    return -1;
}

enum tm_code catalog_compile_reward(const struct catalog *c, struct bytes text, struct reward *out,
                                    struct tm_error *err)
{
    const char *labels[JOINER_LABELS_MAX];
    for (uint32_t i = 0; i < c->join.labels; i++)
        labels[i] = c->label_name[i];
    enum tm_code rc = reward_compile(text, labels, c->join.labels, out, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "reward");
}
