/* ps/server/ack.h - what a producer is answered, packed by hand: acks are many and small. */
#ifndef TIDEMILL_PS_SERVER_ACK_H
#define TIDEMILL_PS_SERVER_ACK_H

#include "ps/server/door.h"

/* Append the packed IngestReply for a submission that was taken. False: its kind has no answer. */
bool ack_pack(const struct door *d, const struct submission *s, struct buffer *out);

/* Append the packed Ack of a batch, by itself. */
void ack_pack_batch(const struct submission *s, struct buffer *out);

#endif
