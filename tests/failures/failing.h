/* tests/failures/failing.h - calls of the system that fail when told to: the k-th of one kind, once, with EIO.
 *
 * The functions are defined in the program, in front of those of the C library, so that the libraries that it is linked
 * with call them, too. File calls count when they are about something inside the folder that failing_arm() was given;
 * memory counts where mem_new and mem_grow ask for it (the linker wraps calloc and realloc of our own code).
 * What happened is written to memory that is shared with the process that started this one: it outlives a stop.
 * Not seen: what the C library calls by itself, as fwrite does; RocksDB writes its chatty LOG that way, and nothing
 * else. Left out: sync_file_range, of which RocksDB asserts (and aborts) that it fails for want of support only; it is
 * advice, and no promise rests on it.
 * Threads  any. */
#ifndef TIDEMILL_TESTS_FAILURES_FAILING_H
#define TIDEMILL_TESTS_FAILURES_FAILING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define FAILING_CALLS(C)                                                                                        \
    C(open) C(write) C(pwrite) C(fsync) C(fdatasync) C(rename) C(ftruncate) C(mkdir) C(unlink) C(read) C(pread) \
    C(memory)

enum failing_call {
#define C(name) FAILING_##name,
    FAILING_CALLS(C)
#undef C
    FAILING_COUNT
};
/* clang-format on */

struct failing_report {
    atomic_uint_fast64_t calls[FAILING_COUNT]; /* since failing_arm */
    atomic_bool hit;
    char path[256];                   /* of the call that failed; "" for memory */
    atomic_uint_fast64_t sent, acked; /* batches */
};

extern const char *const failing_names[FAILING_COUNT];

/* at: which one, from 1 on; 0: count only. The report must last as long as the process. */
void failing_arm(const char *folder, enum failing_call call, uint64_t at, struct failing_report *report);

#endif
