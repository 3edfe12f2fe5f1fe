/* ps/server/join_rules.h - by which rules events become samples, for those who work them out again: what
 * Admin.JoinRules answers (admin.h).
 *
 * It is what the configuration says, whatever the data directory was made with: a server does not start when they
 * differ in what decides labels, and refuses to take over such a one.
 * Memory   none is kept. Threads: any. */
#ifndef TIDEMILL_PS_SERVER_JOIN_RULES_H
#define TIDEMILL_PS_SERVER_JOIN_RULES_H

#include "base/bytes.h"
#include "ps/engine/options.h"

/* Append a packed JoinRulesReply of options that were checked. at_once: there was such a join before, too. Paths of
 * files are made whole where they are there. */
void join_rules_pack(const struct options *o, bool at_once, struct buffer *out);

#endif
