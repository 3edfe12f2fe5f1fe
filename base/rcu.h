/* base/rcu.h - readers that never lock (the only door to liburcu).
 *
 * A reader brackets its reads with rcu_enter/rcu_leave and may use every pointer it loaded in between. A writer
 * publishes a new pointer and hands the old memory to rcu_retire, which frees it when no reader can hold it any more.
 * Threads  any, without registration. A thread may not block between enter and leave. */
#ifndef TIDEMILL_BASE_RCU_H
#define TIDEMILL_BASE_RCU_H

void rcu_enter(void);
void rcu_leave(void);

/* free(memory) later. Never blocks; memory must come from malloc. */
void rcu_retire(void *memory);

/* Wait until everything retired so far is freed: at the end of a program or test. */
void rcu_settle(void);

#endif
