#include "proto/json_ingest.h"

#include <stdio.h>

#include "proto/json.h"
#include "proto/json_event.h"
#include "proto/json_value.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

enum { CLIENT, INSTANCE, LANE, STREAMS, SEQUENCE, EVENTS };

static const struct {
    const char *name;
    bool needed;
} keys[] = {[CLIENT] = {"client", true},    [INSTANCE] = {"instance", true}, [LANE] = {"lane", false},
            [STREAMS] = {"streams", false}, [SEQUENCE] = {"sequence", true}, [EVENTS] = {"events", true}};

static const char *key_name(const void *context, size_t i)
{
    (void)context;
    return i < ARRAY_LEN(keys) ? keys[i].name : NULL;
}

static bool is_known(const char *name)
{
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        known |= strcmp(keys[i].name, name) == 0;
    return known;
}

/* Everything that is missing at once: whoever tries by hand should not have to try four times. */
static enum tm_code check_keys(const json_t *body, struct tm_error *err)
{
    char missing[64] = "";
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)body, name, v)
    {
        if (!is_known(name))
            return json_unknown_key(name, key_name, NULL, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t used = strlen(missing);
        if (keys[i].needed && !json_object_get(body, keys[i].name))
            snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", keys[i].name);
    }
    if (!missing[0])
        return TM_OK;
    return tm_error_set(
        err, TM_INVALID_ARGUMENT,
        "%s: missing; expected {\"client\", \"instance\", \"sequence\", \"events\"}: a batch counts once "
        "because its producer numbers it, from 1",
        missing);
}

/* The field of a message of the protocol that has the same name. */
static enum tm_code put_field(const ProtobufCMessageDescriptor *type, const json_t *body, size_t key,
                              struct buffer *wire, struct tm_error *err)
{
    json_t *v = json_object_get(body, keys[key].name);
    json_t *one = v ? json_pack("{sO}", keys[key].name, v) : NULL;
    enum tm_code rc = one ? json_put_object(type, one, wire, err) : TM_OK;
    json_decref(one);
    return rc;
}

static enum tm_code put_events(const json_t *events, struct buffer *batch, struct tm_error *err)
{
    enum { BATCH_EVENTS = 2 };
    CLEANUP(buffer_close) struct buffer event = {0};
    size_t i;
    json_t *v;
    if (!json_is_array(events)) {
        enum tm_code rc = json_unexpected(events, "an array of events", err);
        tm_error_wrap(err, "events");
        return rc;
    }
    json_array_foreach(events, i, v)
    {
        event.size = 0;
        enum tm_code rc = json_is_object(v) ? json_event_put(v, &event, err) : json_unexpected(v, "an event", err);
        if (rc != TM_OK) {
            tm_error_wrap(err, "events[%zu]", i);
            return rc;
        }
        wire_put_bytes(batch, BATCH_EVENTS, buffer_view(&event));
    }
    return TM_OK;
}

static enum tm_code read_body(const json_t *body, struct json_ingest *out, struct tm_error *err)
{
    static const size_t open_keys[] = {CLIENT, INSTANCE, LANE, STREAMS};
    enum tm_code rc = check_keys(body, err);
    for (size_t i = 0; rc == TM_OK && i < ARRAY_LEN(open_keys); i++)
        rc = put_field(&tidemill__v1__open__descriptor, body, open_keys[i], &out->open, err);
    if (rc == TM_OK)
        rc = put_field(&tidemill__v1__batch__descriptor, body, SEQUENCE, &out->batch, err);
    return rc == TM_OK ? put_events(json_object_get(body, keys[EVENTS].name), &out->batch, err) : rc;
}

enum tm_code json_ingest_read(struct bytes text, struct json_ingest *out, struct tm_error *err)
{
    json_t *body;
    *out = (struct json_ingest){0};
    enum tm_code rc = json_parse(text, JSON_TEXT_MAX, &body, err);
    if (rc != TM_OK)
        return rc;
    rc = read_body(body, out, err);
    json_decref(body);
    return rc;
}

void json_ingest_close(struct json_ingest *in)
{
    buffer_close(&in->open);
    buffer_close(&in->batch);
}
