#include "bench/encode.h"

#include "proto/event.h"

const char *const encode_streams[MADE_KINDS] = {"features", "impressions", "clicks"};
const char *const encode_versions[2] = {"A", "B"};
const char encode_configuration[] = "streams:\n"
                                    "  - { name: features, kind: features }\n"
                                    "  - { name: impressions, kind: impression }\n"
                                    "  - { name: clicks, kind: action }\n"
                                    "labels: [{ name: click, stream: clicks }]\n"
                                    "versions:\n"
                                    "  - { name: A, model: beta, prior: [1, 20], half_life: 14d, reward: click }\n"
                                    "  - { name: B, model: beta, prior: [1, 50], reward: click }\n";

/* The digits are written by hand: printf would cost more than all the rest of an event. */
static void put_digits(char *text, int digits, unsigned base, uint64_t v)
{
    for (int i = digits; i-- > 0; v /= base)
        text[i] = "0123456789abcdef"[v % base];
    text[digits] = '\0';
}

void encode_doc(uint32_t doc, char text[static ENCODE_DOC_SIZE])
{
    text[0] = 'd';
    put_digits(text + 1, ENCODE_DOC_SIZE - 2, 10, doc);
}

/* Words and the digits of a number behind them. Returns where the next ones go. */
static char *put_pair(char *at, const char *words, int digits, unsigned base, uint64_t v)
{
    size_t size = strlen(words);
    memcpy(at, words, size);
    put_digits(at + size, digits, base, v);
    return at + size + digits;
}

static void fill(uint64_t sample, enum encode_filling filling, char payload[static ENCODE_PAYLOAD + 1])
{
    uint64_t bits = events_mix(~sample);
    char *at = payload;
    if (filling == ENCODE_NOISE) {
        for (uint64_t i = 0; i < ENCODE_PAYLOAD; i += sizeof bits, bits = events_mix(bits + i))
            memcpy(payload + i, &bits, sizeof bits);
        return;
    }
    at = put_pair(at, "{\"page\":\"home\",\"slot\":", 2, 10, bits % 24);
    at = put_pair(at, ",\"session\":\"", 16, 16, events_mix(bits));
    at = put_pair(at, "\",\"price\":", 5, 10, bits >> 20);
    at = put_pair(at, ",\"country\":\"de\",\"score\":0.", 5, 10, bits >> 40);
    memset(at, ' ', (size_t)(payload + ENCODE_PAYLOAD - at));
    payload[ENCODE_PAYLOAD - 1] = '}';
}

void encode_event(const struct made *m, enum encode_filling filling, struct buffer *out)
{
    char payload[ENCODE_PAYLOAD + 1];
    char request[17], doc[ENCODE_DOC_SIZE], user[9];
    put_digits(request, 16, 16, events_mix(m->sample));
    encode_doc(m->doc, doc);
    struct event e = {.stream = bytes_text(encode_streams[m->kind]),
                      .request = bytes_of(request, 16),
                      .doc = bytes_of(doc, ENCODE_DOC_SIZE - 1),
                      .time = m->time,
                      .has = EVENT_HAS_TIME};
    if (m->kind == MADE_IMPRESSION) {
        put_digits(user, 8, 16, m->user);
        e.user = bytes_of(user, 8);
        e.version = bytes_text(encode_versions[m->version]);
        fill(m->sample, filling, payload);
        e.payload = bytes_of(payload, ENCODE_PAYLOAD);
    } else if (m->kind == MADE_FEATURES) {
        fill(~m->sample, filling, payload);
        e.features = bytes_of(payload, ENCODE_PAYLOAD);
        e.has |= EVENT_HAS_FEATURES;
    }
    event_encode(&e, out);
}

void encode_record(const struct made *m, uint32_t count, struct buffer *out)
{
    char request[17], user[9], payload[ENCODE_PAYLOAD + 1];
    fill(m->sample, ENCODE_TEXT, payload);
    put_digits(request, 16, 16, events_mix(m->sample));
    put_digits(user, 8, 16, m->user);
    event_encode(&(struct event){.stream = bytes_text(encode_streams[MADE_IMPRESSION]),
                                 .request = bytes_of(request, 16),
                                 .user = bytes_of(user, 8),
                                 .version = bytes_text(encode_versions[m->version]),
                                 .time = m->time,
                                 .payload = bytes_of(payload, ENCODE_PAYLOAD),
                                 .has = EVENT_HAS_TIME},
                 out);
    for (uint32_t i = 0; i < count; i++) {
        char doc[ENCODE_DOC_SIZE];
        encode_doc(m[i].doc, doc);
        event_encode(&(struct event){.items = 1, .doc = bytes_of(doc, ENCODE_DOC_SIZE - 1)}, out);
    }
}
