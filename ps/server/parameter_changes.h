/* ps/server/parameter_changes.h - Admin.ResetParameters, SetPrior and ListParameterChanges.
 *
 * They wait for the log, or read every parameter, so they have a queue and a thread of their own (operations.h). */
#ifndef TIDEMILL_PS_SERVER_PARAMETER_CHANGES_H
#define TIDEMILL_PS_SERVER_PARAMETER_CHANGES_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

struct parameter_changes;

struct parameter_changes *parameter_changes_open(struct engine *engine, struct rpc *rpc);
void parameter_changes_drain(struct parameter_changes *p); /* what comes or waits is refused */
void parameter_changes_close(struct parameter_changes *p); /* after rpc_stop() */

#endif
