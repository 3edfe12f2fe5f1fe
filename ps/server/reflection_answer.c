#include "ps/server/reflection_answer.h"

#include "proto/wire.h"

/* Field numbers of ServerReflectionRequest: its questions are one oneof. */
enum question {
    NONE = 0,
    FILE_BY_FILENAME = 3,
    FILE_CONTAINING_SYMBOL = 4,
    FILE_CONTAINING_EXTENSION = 5,
    ALL_EXTENSION_NUMBERS_OF_TYPE = 6,
    LIST_SERVICES = 7,
};

/* Field numbers of ServerReflectionResponse. */
enum {
    VALID_HOST = 1,
    ORIGINAL_REQUEST = 2,
    FILE_DESCRIPTOR_RESPONSE = 4,
    ALL_EXTENSION_NUMBERS_RESPONSE = 5,
    LIST_SERVICES_RESPONSE = 6,
    ERROR_RESPONSE = 7,
};

struct request {
    struct bytes host, argument;
    enum question question;
};

static enum tm_code read_request(struct bytes wire, struct request *q, struct tm_error *err)
{
    enum { HOST = 1 };
    struct reader r = reader_of(wire);
    struct wire_field f;
    *q = (struct request){0};
    if (wire.size > REFLECTION_REQUEST_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "request of %zu bytes; expected at most %d", wire.size,
                            REFLECTION_REQUEST_MAX);
    while (wire_next(&r, &f)) {
        if (f.number > LIST_SERVICES || f.type != WIRE_BYTES)
            continue;
        if (f.number == HOST)
            q->host = f.bytes;
        if (f.number >= FILE_BY_FILENAME) { /* the last one of a oneof counts */
            q->question = (enum question)f.number;
            q->argument = f.bytes;
        }
    }
    if (r.bad)
        return wire_malformed(&r, wire, err);
    return q->question ? TM_OK
                       : tm_error_set(err, TM_INVALID_ARGUMENT,
                                      "message_request: missing; expected one of file_by_filename, "
                                      "file_containing_symbol, file_containing_extension, "
                                      "all_extension_numbers_of_type, list_services");
}

/* ---- answers: each appends its field of the response ---- */

static void answer_not_found(struct buffer *out, const char *what)
{
    enum { CODE = 1, MESSAGE = 2 };
    CLEANUP(buffer_close) struct buffer error = {0};
    wire_put_integer(&error, CODE, (uint64_t)tm_code_grpc(TM_NOT_FOUND));
    wire_put_bytes(&error, MESSAGE, bytes_text(what));
    wire_put_bytes(out, ERROR_RESPONSE, buffer_view(&error));
}

static void answer_file(const struct descriptors *d, const struct descriptor_file *file, struct buffer *out)
{
    enum { FILE_DESCRIPTOR_PROTO = 1 };
    CLEANUP(buffer_close) struct buffer files = {0};
    if (!file) {
        answer_not_found(out, "no such file; expected a name as in an import statement, tidemill/v1/events.proto");
        return;
    }
    wire_put_bytes(&files, FILE_DESCRIPTOR_PROTO, file->bytes); /* what was asked for comes first */
    for (uint32_t i = 0; i < d->files; i++)
        if (file->needs >> i & 1 && &d->file[i] != file)
            wire_put_bytes(&files, FILE_DESCRIPTOR_PROTO, d->file[i].bytes);
    wire_put_bytes(out, FILE_DESCRIPTOR_RESPONSE, buffer_view(&files));
}

static void answer_symbol(const struct descriptors *d, struct bytes name, struct buffer *out)
{
    const struct descriptor *found = descriptors_find(d, name);
    if (found)
        answer_file(d, &d->file[found->file], out);
    else
        answer_not_found(out, "no such symbol; expected the full name of a service, method, message or enum");
}

static void answer_extension_numbers(const struct descriptors *d, struct bytes type, struct buffer *out)
{
    enum { BASE_TYPE_NAME = 1 };
    CLEANUP(buffer_close) struct buffer none = {0};
    const struct descriptor *found = descriptors_find(d, type);
    if (!found || found->kind != DESCRIPTOR_MESSAGE) {
        answer_not_found(out, "no such message; expected its full name");
        return;
    }
    wire_put_bytes(&none, BASE_TYPE_NAME, type);
    wire_put_bytes(out, ALL_EXTENSION_NUMBERS_RESPONSE, buffer_view(&none));
}

static void answer_services(const struct descriptors *d, struct buffer *out)
{
    enum { SERVICE = 1, NAME = 1 };
    CLEANUP(buffer_close) struct buffer services = {0};
    for (uint32_t i = 0; i < d->count; i++) {
        CLEANUP(buffer_close) struct buffer service = {0};
        if (d->descriptor[i].kind != DESCRIPTOR_SERVICE)
            continue;
        wire_put_bytes(&service, NAME, bytes_text(d->descriptor[i].name));
        wire_put_bytes(&services, SERVICE, buffer_view(&service));
    }
    wire_put_bytes(out, LIST_SERVICES_RESPONSE, buffer_view(&services));
}

enum tm_code reflection_answer(const struct descriptors *d, struct bytes request, struct buffer *out,
                               struct tm_error *err)
{
    struct request q;
    enum tm_code rc = read_request(request, &q, err);
    if (rc != TM_OK)
        return rc;
    wire_put_bytes(out, VALID_HOST, q.host);
    wire_put_bytes(out, ORIGINAL_REQUEST, request);
    switch (q.question) {
    case FILE_BY_FILENAME: answer_file(d, descriptors_find_file(d, q.argument), out); break;
    case FILE_CONTAINING_SYMBOL: answer_symbol(d, q.argument, out); break;
    case FILE_CONTAINING_EXTENSION: answer_not_found(out, "no message here has extensions"); break;
    case ALL_EXTENSION_NUMBERS_OF_TYPE: answer_extension_numbers(d, q.argument, out); break;
    case LIST_SERVICES: answer_services(d, out); break;
    case NONE: break;
    }
    return TM_OK;
}
