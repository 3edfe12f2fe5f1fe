#include "client/aside.h"

#include <string.h>

#include "client/connection.h"
#include "client/print.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"

/* Counters are as of the shards' last commits, and a drain commits. */
void aside_look(const char *server, int64_t timeout_ms, ProtobufCMessage **look)
{
    Tidemill__V1__DrainRequest drain = TIDEMILL__V1__DRAIN_REQUEST__INIT;
    Tidemill__V1__StatusRequest status = TIDEMILL__V1__STATUS_REQUEST__INIT;
    struct connection *c = connection_open(server);
    ProtobufCMessage *drained = NULL;
    if (connection_call(c, "/tidemill.v1.Admin/Drain", &drain.base, &tidemill__v1__drain_reply__descriptor, timeout_ms,
                        &drained, NULL) == TM_OK)
        connection_call(c, "/tidemill.v1.Admin/Status", &status.base, &tidemill__v1__status_reply__descriptor,
                        timeout_ms, look, NULL);
    wire_free(drained);
    connection_close(c);
}

static void tell_more(struct progress *p, const char *stream, uint64_t before, uint64_t after, const char *fate,
                      const char *why)
{
    char count[TEXT_NUMBER_SIZE];
    if (after > before)
        progress_notice(p, "%s: %s %s since this began: %s (tidemill deadletters list)", stream,
                        text_count(after - before, count), fate, why);
}

void aside_tell(const ProtobufCMessage *before, const ProtobufCMessage *after, struct progress *p)
{
    static const Tidemill__V1__StreamStatus none = TIDEMILL__V1__STREAM_STATUS__INIT;
    const Tidemill__V1__StatusReply *then = (const Tidemill__V1__StatusReply *)before;
    const Tidemill__V1__StatusReply *now = (const Tidemill__V1__StatusReply *)after;
    for (size_t i = 0; i < now->n_streams; i++) {
        const Tidemill__V1__StreamStatus *s = now->streams[i], *old = &none;
        const char *name = s->name ? s->name : "";
        for (size_t k = 0; k < then->n_streams; k++)
            if (then->streams[k]->name && strcmp(then->streams[k]->name, name) == 0)
                old = then->streams[k];
        tell_more(p, name, old->late, s->late, "late", "they came after their horizon and were set aside");
        tell_more(p, name, old->filtered, s->filtered, "filtered",
                  "a rule excludes them, they are of another version than their impression, too long before it, or too "
                  "many for it, and were set aside");
    }
}
