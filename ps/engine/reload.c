/* What can be read again while the engine runs: the configuration, as far as control records can change things, and the
 * lists of users. */
#include <stdlib.h>

#include "base/clock.h"
#include "ps/engine/parts.h"

struct user_lists *engine_users(struct engine *e) { return &e->users; }

/* As at the start: everything is compared before anything is appended. e->configured: ours if it is refused. */
static enum tm_code apply(struct engine *e, struct catalog *wanted, struct tm_error *err)
{
    struct sequencer_options before = e->sequencing;
    setup_number(e, wanted);
    enum tm_code rc = setup_encoders(e, wanted, err);
    if (rc == TM_OK)
        rc = setup_apply(e, wanted, err);
    if (rc != TM_OK)
        e->sequencing = before;
    return rc;
}

static enum tm_code read_configuration(struct engine *e, const struct options *options, struct tm_error *err)
{
    struct catalog wanted = {0};
    enum tm_code rc = setup_catalog(options, &wanted, err);
    if (rc != TM_OK)
        return rc;
    struct options *next = mem_new(1, sizeof *next), *before;
    *next = *options;
    pthread_mutex_lock(&e->control);
    before = e->configured;
    e->configured = next;
    rc = apply(e, &wanted, err);
    e->configured = rc == TM_OK ? next : before;
    pthread_mutex_unlock(&e->control);
    free(rc == TM_OK ? before : next);
    catalog_close(&wanted);
    return rc;
}

void engine_configured(struct engine *e, struct options *out)
{
    pthread_mutex_lock(&e->control);
    *out = *e->configured;
    pthread_mutex_unlock(&e->control);
    out->users_max_events = e->options.users_max_events;
    out->users_per_ms = e->options.users_per_ms;
}

/* The lists are read before the configuration is applied, and judge behind it, when nothing can fail any more. */
enum tm_code engine_reload(struct engine *e, const struct options *wanted, struct tm_error *err)
{
    struct user_lists_read users;
    const struct options *named = wanted ? wanted : &e->options;
    enum tm_code rc = user_lists_read(&e->users, named->users_block, named->users_allow, &users, err);
    if (rc == TM_OK && wanted)
        rc = read_configuration(e, wanted, err);
    if (rc == TM_OK)
        user_lists_take(&e->users, &users);
    user_lists_read_close(&users);
    atomic_store(&e->reload_failed, rc != TM_OK);
    atomic_store(&e->reloaded_ms, clock_wall_ms());
    return rc;
}

struct engine_reloaded engine_reloaded(const struct engine *e)
{
    return (struct engine_reloaded){.at_ms = atomic_load(&e->reloaded_ms),
                                    .failed = atomic_load(&e->reload_failed),
                                    .blocked = atomic_load(&e->users.blocked),
                                    .allowed = atomic_load(&e->users.allowed)};
}
