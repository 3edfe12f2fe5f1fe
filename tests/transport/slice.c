/* Slices, byte buffers and the other values of gRPC's API, as far as the server's door uses them. */
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <stdlib.h>

#include "tests/transport/core.h"

enum { FRAME = 16384 }; /* a longer message comes in several slices, as from HTTP/2 */

struct grpc_slice_refcount {
    atomic_int references;
    void (*destroy)(void *user_data); /* NULL: the bytes are constant */
    void *user_data;
};

static grpc_slice slice_on(const void *bytes, size_t size, struct grpc_slice_refcount *count)
{
    return (grpc_slice){.refcount = count, .data.refcounted = {.length = size, .bytes = (uint8_t *)(uintptr_t)bytes}};
}

grpc_slice grpc_empty_slice(void) { return (grpc_slice){0}; }

grpc_slice grpc_slice_new_with_user_data(void *p, size_t size, void (*destroy)(void *), void *user_data)
{
    struct grpc_slice_refcount *count = mem_new(1, sizeof *count);
    atomic_init(&count->references, 1);
    count->destroy = destroy;
    count->user_data = user_data;
    return slice_on(p, size, count);
}

static grpc_slice slice_copied(const void *bytes, size_t size)
{
    grpc_slice s = {0};
    if (size <= GRPC_SLICE_INLINED_SIZE) {
        s.data.inlined.length = (uint8_t)size;
        if (size)
            memcpy(s.data.inlined.bytes, bytes, size);
        return s;
    }
    void *copy = mem_new(1, size);
    memcpy(copy, bytes, size);
    return grpc_slice_new_with_user_data(copy, size, free, copy);
}

grpc_slice grpc_slice_from_copied_string(const char *text) { return slice_copied(text, strlen(text)); }

grpc_slice grpc_slice_from_static_string(const char *text)
{
    static struct grpc_slice_refcount forever;
    return slice_on(text, strlen(text), &forever);
}

grpc_slice grpc_slice_ref(grpc_slice s)
{
    if (s.refcount)
        atomic_fetch_add_explicit(&s.refcount->references, 1, memory_order_relaxed);
    return s;
}

void grpc_slice_unref(grpc_slice s)
{
    struct grpc_slice_refcount *count = s.refcount;
    if (!count || !count->destroy || atomic_fetch_sub(&count->references, 1) != 1)
        return;
    count->destroy(count->user_data);
    free(count);
}

/* ---- byte buffers ---- */

grpc_byte_buffer *grpc_raw_byte_buffer_create(grpc_slice *slices, size_t count)
{
    grpc_byte_buffer *b = mem_new(1, sizeof *b);
    grpc_slice_buffer *parts = &b->data.raw.slice_buffer;
    b->type = GRPC_BB_RAW;
    parts->slices = parts->base_slices = mem_new(count, sizeof *slices);
    parts->count = count;
    for (size_t i = 0; i < count; i++) {
        parts->slices[i] = grpc_slice_ref(slices[i]);
        parts->length += GRPC_SLICE_LENGTH(slices[i]);
    }
    return b;
}

void grpc_byte_buffer_destroy(grpc_byte_buffer *b)
{
    grpc_slice_buffer *parts = &b->data.raw.slice_buffer;
    for (size_t i = 0; i < parts->count; i++)
        grpc_slice_unref(parts->slices[i]);
    free(parts->base_slices);
    free(b);
}

int grpc_byte_buffer_reader_init(grpc_byte_buffer_reader *reader, grpc_byte_buffer *buffer)
{
    *reader = (grpc_byte_buffer_reader){.buffer_in = buffer, .buffer_out = buffer};
    return 1;
}

void grpc_byte_buffer_reader_destroy(grpc_byte_buffer_reader *reader) { *reader = (grpc_byte_buffer_reader){0}; }

grpc_slice grpc_byte_buffer_reader_readall(grpc_byte_buffer_reader *reader)
{
    struct buffer whole = {0};
    transport_message_read(reader->buffer_in, &whole);
    return grpc_slice_new_with_user_data(whole.data, whole.size, free, whole.data);
}

grpc_byte_buffer *transport_message_of(struct bytes bytes)
{
    size_t count = bytes.size / FRAME + 1;
    grpc_slice *frames = mem_new(count, sizeof *frames);
    for (size_t i = 0; i < count; i++) {
        size_t at = i * FRAME, left = bytes.size - at;
        frames[i] = slice_copied(bytes.data ? bytes.data + at : NULL, left < FRAME ? left : FRAME);
    }
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(frames, count);
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(frames[i]);
    free(frames);
    return message;
}

void transport_message_read(const grpc_byte_buffer *message, struct buffer *out)
{
    const grpc_slice_buffer *parts = &message->data.raw.slice_buffer;
    out->size = 0;
    for (size_t i = 0; i < parts->count; i++)
        buffer_put(out, GRPC_SLICE_START_PTR(parts->slices[i]), GRPC_SLICE_LENGTH(parts->slices[i]));
}

/* ---- what has no meaning without a network ---- */

void grpc_init(void) {}
void grpc_shutdown_blocking(void) {}

void grpc_metadata_array_init(grpc_metadata_array *array) { *array = (grpc_metadata_array){0}; }
void grpc_metadata_array_destroy(grpc_metadata_array *array) { free(array->metadata); }
void grpc_call_details_init(grpc_call_details *details) { *details = (grpc_call_details){0}; }
void grpc_call_details_destroy(grpc_call_details *details)
{
    grpc_slice_unref(details->method);
    grpc_slice_unref(details->host);
}

grpc_resource_quota *grpc_resource_quota_create(const char *name) { return (grpc_resource_quota *)(uintptr_t)name; }
void grpc_resource_quota_resize(grpc_resource_quota *quota, size_t size) { (void)quota, (void)size; }
void grpc_resource_quota_unref(grpc_resource_quota *quota) { (void)quota; }
const grpc_arg_pointer_vtable *grpc_resource_quota_arg_vtable(void) { return NULL; }

grpc_server_credentials *grpc_insecure_server_credentials_create(void); /* theirs is no prototype */
grpc_server_credentials *grpc_insecure_server_credentials_create(void) { return NULL; }
void grpc_server_credentials_release(grpc_server_credentials *credentials) { (void)credentials; }
