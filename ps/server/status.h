/* ps/server/status.h - one struct engine_status as a tidemill.v1.StatusReply. */
#ifndef TIDEMILL_PS_SERVER_STATUS_H
#define TIDEMILL_PS_SERVER_STATUS_H

#include "ps/engine/engine.h"

/* Append the packed reply. */
void status_pack(struct engine *engine, struct buffer *out);

#endif
