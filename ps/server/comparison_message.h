/* ps/server/comparison_message.h - the result of a comparison as the last CompareVersionsReply, with the warnings that
 * belong to its figures.
 *
 * Memory   nothing of the caller's is kept. Threads: pure. */
#ifndef TIDEMILL_PS_SERVER_COMPARISON_MESSAGE_H
#define TIDEMILL_PS_SERVER_COMPARISON_MESSAGE_H

#include "ps/engine/comparison.h"

/* Append the packed message's fields. */
void comparison_message_pack(const struct comparison_query *q, const struct comparison_result *r, struct buffer *out);

#endif
