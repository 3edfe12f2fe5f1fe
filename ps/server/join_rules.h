/* ps/server/join_rules.h - Admin.JoinRules: by which rules events become samples, for those who work them out again.
 *
 * It is what the configuration says, whatever the data directory was made with: a server does not start when they
 * differ in what decides labels. Answered at once.
 * Memory   none is kept. Threads: any. */
#ifndef TIDEMILL_PS_SERVER_JOIN_RULES_H
#define TIDEMILL_PS_SERVER_JOIN_RULES_H

#include "ps/engine/engine.h"
#include "ps/engine/options.h"
#include "ps/server/rpc.h"

/* Append a packed JoinRulesReply of options that were checked. Paths of files are made whole where they are there. */
void join_rules_pack(const struct options *o, struct buffer *out);

void join_rules_add(struct engine *engine, struct rpc *rpc); /* its method */

#endif
