#include "base/rcu.h"

#include <stddef.h>
#include <stdlib.h>
#include <urcu-bp.h>

#include "base/check.h"

/* liburcu is not built for TSan, which must be told the order it gives: what a reader or a retirer did comes before
 * the memory is freed. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
static char grace_period;
#define BEFORE_FREE(address) __tsan_release(address)
#define AT_FREE(address) __tsan_acquire(address)
#else
#define BEFORE_FREE(address) ((void)0)
#define AT_FREE(address) ((void)0)
#endif

/* liburcu wants its list node inside what is freed; ours are of any shape, so the node is a block of its own. */
struct retired {
    struct rcu_head head;
    void *memory;
};

void rcu_enter(void) { urcu_bp_read_lock(); }
void rcu_leave(void)
{
    BEFORE_FREE(&grace_period);
    urcu_bp_read_unlock();
}

static void retired_free(struct rcu_head *head)
{
    struct retired *r = caa_container_of(head, struct retired, head);
    AT_FREE(r);
    AT_FREE(&grace_period);
    free(r->memory);
    free(r);
}

void rcu_retire(void *memory)
{
    if (!memory)
        return;
    struct retired *r = mem_new(1, sizeof *r);
    r->memory = memory;
    BEFORE_FREE(r);
    urcu_bp_call_rcu(&r->head, retired_free);
}

void rcu_settle(void) { urcu_bp_barrier(); }
