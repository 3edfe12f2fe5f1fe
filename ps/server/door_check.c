/* What the configuration of its stream demands of an event. */
#include "ps/server/door.h"
#include "proto/event.h"

enum tm_code door_check_key(const struct catalog *c, uint8_t stream, const struct event *e, const char **field,
                            struct tm_error *err)
{
    const struct joiner_stream *s = &c->join.stream[stream];
    bool own = s->attribute != JOINER_ATTRIBUTE_NONE || s->kind == JOINER_TABLE;
    uint32_t needed = own ? s->key_fields : c->key_fields;
    const char *whose = own ? "key of its stream" : "join key";
    *field = "request";
    if ((needed & JOINER_KEY_REQUEST) && !e->request.data)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "request: missing; the %s needs it", whose);
    *field = "user";
    if ((needed & JOINER_KEY_USER) && !e->user.data)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "user: missing; the %s needs it", whose);
    return TM_OK;
}

enum tm_code door_check_withdrawal(const struct catalog *c, uint8_t stream, const struct event *e, const char **field,
                                   struct tm_error *err)
{
    *field = "withdraw";
    enum joiner_stream_kind kind = c->join.stream[stream].kind;
    if (!e->withdraw || kind == JOINER_TABLE || (kind == JOINER_ACTION && e->event.data))
        return TM_OK;
    if (kind == JOINER_ACTION)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "withdraw: there is no event; expected the event id of what it takes back");
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "withdraw: %s has neither; only actions can be taken back, and rows of tables",
                        c->stream_name[stream]);
}

enum tm_code door_check_doc(const struct catalog *c, uint8_t stream, const struct event *e, const char **field,
                            struct tm_error *err)
{
    const struct joiner_stream *s = &c->join.stream[stream];
    *field = "doc";
    if (e->doc.data || (s->kind == JOINER_TABLE && !(s->key_fields & JOINER_KEY_DOC)))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT, "doc: missing; the %s needs it",
                        s->kind == JOINER_TABLE ? "key of its stream" : "join key");
}
