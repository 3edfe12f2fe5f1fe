/* ps/server/deadletters.h - ListDeadLetters and ShowDeadLetter of tidemill.v1.Admin.
 *
 * Bound    a list has at most DEADLETTERS_LIMIT_MAX letters of about 1 KB. Both read disks, so the operations thread of
 *          admin.h answers them.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_DEADLETTERS_H
#define TIDEMILL_PS_SERVER_DEADLETTERS_H

#include "ps/server/admin.h"

enum { DEADLETTERS_LIMIT = 50, DEADLETTERS_LIMIT_MAX = 1000 };

struct deadletters;

struct deadletters *deadletters_open(struct engine *engine, struct admin *admin,
                                     struct rpc *rpc); /* adds its methods */
void deadletters_close(struct deadletters *d);         /* after admin_close() */

#endif
