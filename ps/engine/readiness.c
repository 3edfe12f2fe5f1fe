#include "ps/engine/readiness.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "ps/engine/parts.h"

/* The server answers only when it has recovered; the check is there so that everybody sees that it counts. */
static void check_recovered(struct engine *e, struct ready_check *c)
{
    c->ok = true;
    snprintf(c->reason, sizeof c->reason, "%" PRIu64 " events read again in %.1f ms", e->recovered_events,
             e->recovery_ms);
}

static void check_beat(struct ready_check *c, const char *who, int64_t beat_ns, int64_t silent_max_ms)
{
    int64_t silent_ms = clock_ms_since(beat_ns);
    c->ok = silent_ms <= silent_max_ms;
    snprintf(c->reason, sizeof c->reason, "%s moved %.1f s ago; expected within %.0f s", who, (double)silent_ms / 1e3,
             (double)silent_max_ms / 1e3);
}

static void check_log(struct engine *e, struct ready_check *c)
{
    struct input_log_gauges gauges;
    input_log_gauges(e->log, &gauges);
    check_beat(c, "the log's writer", gauges.beat_ns, READY_LOG_SILENT_MS);
}

static void check_state(struct engine *e, struct ready_check *c)
{
    check_beat(c, "the committer", atomic_load_explicit(&e->committer.beat_ns, memory_order_relaxed),
               READY_STATE_SILENT_MS);
}

static void check_caught_up(struct engine *e, struct ready_check *c)
{
    double behind = engine_behind_seconds(e);
    c->ok = behind * 1e3 <= READY_BEHIND_MS;
    snprintf(c->reason, sizeof c->reason, "%" PRIu64 " records to apply, for %.1f s; expected within %.0f s",
             engine_durable(e) - engine_applied(e), behind, READY_BEHIND_MS / 1e3);
}

static void check_disk(struct engine *e, struct ready_check *c)
{
    struct disk_status disk;
    disk_status(e->dir.disk, &disk);
    c->ok = disk.state == DISK_ROOM;
    snprintf(c->reason, sizeof c->reason, "%" PRIu64 " MiB free; events are taken above a reserve of %" PRIu64 " MiB",
             disk.free >> 20, disk.reserve >> 20);
}

bool engine_ready(struct engine *e, struct ready_check checks[static READY_CHECKS])
{
    static const struct {
        const char *name;
        void (*run)(struct engine *e, struct ready_check *c);
    } all[READY_CHECKS] = {{"recovered", check_recovered},
                           {"log", check_log},
                           {"state", check_state},
                           {"caught_up", check_caught_up},
                           {"disk", check_disk}};
    bool ready = true;
    for (size_t i = 0; i < READY_CHECKS; i++) {
        checks[i].name = all[i].name;
        all[i].run(e, &checks[i]);
        ready &= checks[i].ok;
    }
    return ready;
}
