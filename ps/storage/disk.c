#include "ps/storage/disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/clock.h"

enum { POLL_MS = 100 };

static const uint64_t reserve_min = 64ull << 20, reserve_max = 1ull << 30;
static const double mib = 1 << 20;

struct disk {
    pthread_mutex_t mutex; /* guards what follows, but for path and reserve */
    struct disk_status now;
    uint32_t waiting; /* writers */
    bool leaving;
    const atomic_bool *leave; /* NULL: only disk_leave() tells */
    void (*changed)(void *context, enum disk_state state);
    void *context;
    char path[];
};

static void lock(struct disk *d) { CHECK(pthread_mutex_lock(&d->mutex) == 0); }
static void unlock(struct disk *d) { CHECK(pthread_mutex_unlock(&d->mutex) == 0); }

/* What only writers may use that have begun already: the rest of the reserve is for those who begin. */
static uint64_t last_quarter(const struct disk *d) { return d->now.reserve / 4; }

/* Once it was less, so much must be free before it is enough again. */
static uint64_t enough_again(uint64_t reserve) { return reserve + reserve / 4; }

/* Under the lock. A file system that cannot be asked (it is being unmounted, say) keeps what was known of it: the next
 * write tells. */
static void measure(struct disk *d)
{
    struct statvfs s;
    if (statvfs(d->path, &s) != 0)
        return;
    d->now.size = (uint64_t)s.f_blocks * s.f_frsize;
    d->now.free = (uint64_t)s.f_bavail * s.f_frsize;
}

/* Under the lock. */
static void judge(struct disk *d)
{
    enum disk_state before = d->now.state, now;
    uint64_t enough = before == DISK_ROOM ? d->now.reserve : enough_again(d->now.reserve);
    now = d->waiting > 0 ? DISK_FULL : d->now.free < enough ? DISK_LOW : DISK_ROOM;
    d->now.state = now;
    if (now != before && d->changed)
        d->changed(d->context, now);
}

static uint64_t sensible_reserve(uint64_t size)
{
    uint64_t reserve = size / 16;
    reserve = reserve < reserve_min ? reserve_min : reserve > reserve_max ? reserve_max : reserve;
    return reserve < size / 4 ? reserve : size / 4;
}

enum tm_code disk_open(const char *path, uint64_t reserve, const struct disk_watch *watch, struct disk **out,
                       struct tm_error *err)
{
    struct statvfs s;
    if (statvfs(path, &s) != 0)
        return tm_error_set(err, TM_IO, "%s: statvfs: %s", path, strerrordesc_np(errno));
    size_t size = strlen(path) + 1;
    struct disk *d = mem_new(1, sizeof *d + size);
    memcpy(d->path, path, size);
    CHECK(pthread_mutex_init(&d->mutex, NULL) == 0);
    d->now.reserve = reserve ? reserve : sensible_reserve((uint64_t)s.f_blocks * s.f_frsize);
    measure(d);
    judge(d);
    if (d->now.free < last_quarter(d)) {
        tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                     "%s: only %.1f MiB are free on its file system; expected at least %.1f MiB to start with, and "
                     "%.1f MiB to take events (disk.reserve). Free some space, then start again",
                     path, (double)d->now.free / mib, (double)last_quarter(d) / mib, (double)d->now.reserve / mib);
        disk_close(d);
        return TM_RESOURCE_EXHAUSTED;
    }
    if (watch) {
        d->leave = watch->leave;
        disk_on_change(d, watch->changed, watch->context);
    }
    *out = d;
    return TM_OK;
}

void disk_close(struct disk *d)
{
    if (!d)
        return;
    CHECK(d->waiting == 0);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

void disk_status(struct disk *d, struct disk_status *out)
{
    lock(d);
    measure(d);
    judge(d);
    *out = d->now;
    unlock(d);
}

void disk_look(struct disk *d)
{
    struct disk_status now;
    disk_status(d, &now);
}

enum tm_code disk_admit(struct disk *d, bool events, struct tm_error *err)
{
    struct disk_status now;
    disk_status(d, &now);
    if (now.state == DISK_ROOM || (!events && now.state == DISK_LOW))
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "disk: %.1f MiB are free on the file system of %s; events are taken again from %.1f MiB on; "
                        "try again in a second",
                        (double)now.free / mib, d->path, (double)enough_again(now.reserve) / mib);
}

static bool is_leaving(const struct disk *d) { return d->leaving || (d->leave && atomic_load(d->leave)); }

bool disk_wait(struct disk *d, uint64_t bytes, bool after_failure)
{
    bool room = false;
    lock(d);
    measure(d);
    while (!(room = !after_failure && d->now.free >= last_quarter(d) + 2 * bytes) && !is_leaving(d)) {
        d->waiting++;
        judge(d);
        unlock(d);
        clock_sleep_ms(POLL_MS);
        lock(d);
        d->waiting--;
        after_failure = false;
        measure(d);
    }
    judge(d);
    unlock(d);
    return room;
}

void disk_leave(struct disk *d)
{
    lock(d);
    d->leaving = true;
    unlock(d);
}

void disk_on_change(struct disk *d, void (*changed)(void *context, enum disk_state state), void *context)
{
    lock(d);
    d->changed = changed;
    d->context = context;
    if (changed && d->now.state != DISK_ROOM)
        changed(context, d->now.state);
    unlock(d);
}
