#include "ps/server/ack.h"

#include "proto/wire.h"

static void put_nested(struct buffer *out, uint32_t number, struct buffer *content)
{
    wire_put_bytes(out, number, buffer_view(content));
    buffer_close(content);
}

static void put_stream(const struct door *d, uint32_t stream, struct buffer *out)
{
    static const char *const kinds[] = {[JOINER_FEATURES] = "features",
                                        [JOINER_IMPRESSION] = "impression",
                                        [JOINER_ACTION] = "action",
                                        [JOINER_TABLE] = "table"};
    const struct catalog *c = engine_schema(d->engine);
    enum { OPENED_STREAMS = 2, NAME = 1, KIND, OUT_OF_ORDERNESS };
    struct buffer info = {0};
    wire_put_bytes(&info, NAME, bytes_text(c->stream_name[stream]));
    wire_put_bytes(&info, KIND, bytes_text(kinds[c->join.stream[stream].kind]));
    wire_put_integer(&info, OUT_OF_ORDERNESS, (uint64_t)engine_out_of_orderness(d->engine, stream));
    put_nested(out, OPENED_STREAMS, &info);
}

static void pack_opened(const struct door *d, const struct submission *s, struct buffer *out)
{
    enum { LAST_SEQUENCE = 1, WINDOW = 3 };
    const struct joiner_config *join = &engine_schema(d->engine)->join;
    wire_put_integer(out, LAST_SEQUENCE, s->last_sequence);
    for (uint32_t i = 0; i < join->streams; i++)
        put_stream(d, i, out);
    wire_put_integer(out, WINDOW, (uint64_t)engine_end_window(d->engine));
}

/* The rejects were packed at the door, where they were found; those of a repeated batch when it came first. */
void ack_pack_batch(const struct submission *s, struct buffer *out)
{
    enum { SEQUENCE = 1, POSITION, DURABLE, REPEATED };
    struct bytes rejects = s->repeated ? buffer_view(&s->old_rejects) : s->rejects;
    wire_put_integer(out, SEQUENCE, s->sequence);
    wire_put_integer(out, POSITION, s->position);
    wire_put_integer(out, DURABLE, 1);
    wire_put_integer(out, REPEATED, s->repeated);
    buffer_put(out, rejects.data, rejects.size);
}

static void pack_ended(const struct submission *s, struct buffer *out)
{
    enum { POSITION = 1, WATERMARK };
    wire_put_integer(out, POSITION, s->position);
    if (s->watermark != WATERMARK_NONE) /* it never sent an event: there is nothing to end */
        wire_put_integer(out, WATERMARK, (uint64_t)s->watermark);
}

bool ack_pack(const struct door *d, const struct submission *s, struct buffer *out)
{
    enum { OPENED = 1, ACK, ENDED };
    struct buffer content = {0};
    switch (s->kind) {
    case SUBMIT_OPEN:
        pack_opened(d, s, &content);
        put_nested(out, OPENED, &content);
        return true;
    case SUBMIT_BATCH:
        ack_pack_batch(s, &content);
        put_nested(out, ACK, &content);
        return true;
    case SUBMIT_END:
        pack_ended(s, &content);
        put_nested(out, ENDED, &content);
        return true;
    default: return false;
    }
}
