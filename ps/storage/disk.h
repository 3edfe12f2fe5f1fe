/* ps/storage/disk.h - room on the file system of the data directory: who may write, and when.
 *
 *   free >= reserve + a quarter of it   DISK_ROOM: everything is taken (again)
 *   free <  reserve                     DISK_LOW: the door refuses batches of events; commits, punctuations and control
 *                                       records go on, and so does everything that reads
 *   free <  the last quarter of it      writers wait; with one that waits it is DISK_FULL: the door refuses everything
 *
 * So what was taken can be committed, compacted and synced within the reserve, and between two states there is always
 * a stretch in which nothing flaps. Somebody else may eat the reserve at any moment: this is a courtesy to be refused
 * in time, ps/storage/rocks.h says what a write that fails all the same does.
 *
 * Units    bytes, as statvfs tells them to those who are not root (f_bavail).
 * Threads  any. A look costs one system call; who asks looks, there is no thread for it.
 * Memory   borrowed by both databases; closed behind them. */
#ifndef TIDEMILL_PS_STORAGE_DISK_H
#define TIDEMILL_PS_STORAGE_DISK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"

enum disk_state { DISK_ROOM, DISK_LOW, DISK_FULL };

struct disk;

/* Who cares about it from the first moment on, while nobody else is there yet. */
struct disk_watch {
    const atomic_bool *leave; /* borrowed; true: as if disk_leave() had been called. Looked at while somebody waits. */
    void (*changed)(void *context, enum disk_state state); /* see disk_on_change */
    void *context;
};

/* watch: NULL when nobody does. reserve 0: a sixteenth of the file system, 64 MiB to 1 GiB of it, and at most a quarter
 * of a small one.
 * TM_RESOURCE_EXHAUSTED: not even those could write who may write last; nothing should be opened. */
enum tm_code disk_open(const char *path, uint64_t reserve, const struct disk_watch *watch, struct disk **out,
                       struct tm_error *err);
void disk_close(struct disk *d); /* NULL is fine */

struct disk_status {
    enum disk_state state;
    uint64_t size, free, reserve;
};
void disk_status(struct disk *d, struct disk_status *out); /* as of now */
void disk_look(struct disk *d);                            /* for those who only want others to be told of a change */

/* Look, and tell the door: is a batch of events taken now, or (events: false) anything else?
 * TM_RESOURCE_EXHAUSTED with what is free, what is needed, and that it pays to come again. */
enum tm_code disk_admit(struct disk *d, bool events, struct tm_error *err);

/* Wait until `bytes` can be written. after_failure: a write was refused, whatever statvfs says (no inodes, say); come
 * back a little later. False: the process is to leave and there is still no room. */
bool disk_wait(struct disk *d, uint64_t bytes, bool after_failure);

/* From now on nobody waits for room: the process wants to end. */
void disk_leave(struct disk *d);

/* Called whenever the state changes, and at once when it is not DISK_ROOM; on the thread that looked, under a lock: it
 * must not call back. NULL: no more. */
void disk_on_change(struct disk *d, void (*changed)(void *context, enum disk_state state), void *context);

#endif
