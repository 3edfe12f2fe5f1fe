/* What can be read again while the engine runs: the lists of users. */
#include "base/clock.h"
#include "ps/engine/parts.h"

struct user_lists *engine_users(struct engine *e) { return &e->users; }

enum tm_code engine_reload(struct engine *e, struct tm_error *err)
{
    enum tm_code rc = user_lists_read(&e->users, e->options.users_block, e->options.users_allow, err);
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
