#include "proto/descriptors.h"

#include <stdlib.h>

#include "proto/wire.h"

/* Field numbers of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    SERVICE_METHOD = 2,
    ANY_NAME = 1, /* of messages, enums, services and methods alike */
};

/* Made by CMake from the .proto files. */
extern const uint8_t api_descriptor_set[];
extern const size_t api_descriptor_set_size;

/* The last field of that number, as protobuf wants it; empty when there is none. */
static struct bytes text_field(struct bytes message, uint32_t number)
{
    struct reader r = reader_of(message);
    struct wire_field f;
    struct bytes found = {0};
    while (wire_next(&r, &f))
        if (f.number == number && f.type == WIRE_BYTES)
            found = f.bytes;
    CHECK(!r.bad);
    return found;
}

/* ---- names ---- */

static char *full_name(struct bytes scope, struct bytes name)
{
    char *full = mem_new(scope.size + name.size + 2, 1);
    size_t at = 0;
    CHECK(name.size > 0);
    if (scope.size) {
        memcpy(full, scope.data, scope.size);
        full[scope.size] = '.';
        at = scope.size + 1;
    }
    memcpy(full + at, name.data, name.size);
    return full;
}

/* What carries a name inside of what carries a name. */
struct part {
    uint32_t field;
    enum descriptor_kind kind;
};

static void add_parts(struct descriptors *d, struct bytes scope, struct bytes content, const struct part *parts,
                      size_t count);

static void add(struct descriptors *d, struct bytes scope, enum descriptor_kind kind, struct bytes content)
{
    static const struct part in_message[] = {{MESSAGE_NESTED, DESCRIPTOR_MESSAGE}, {MESSAGE_ENUM, DESCRIPTOR_ENUM}};
    static const struct part in_service[] = {{SERVICE_METHOD, DESCRIPTOR_METHOD}};
    char *name = full_name(scope, text_field(content, ANY_NAME));
    if ((d->count & (d->count - 1)) == 0) /* full, or empty: powers of two */
        d->descriptor = mem_grow(d->descriptor, d->count ? 2 * d->count : 1, sizeof *d->descriptor);
    d->descriptor[d->count++] = (struct descriptor){name, kind, d->files};
    if (kind == DESCRIPTOR_MESSAGE)
        add_parts(d, bytes_text(name), content, in_message, ARRAY_LEN(in_message));
    else if (kind == DESCRIPTOR_SERVICE)
        add_parts(d, bytes_text(name), content, in_service, ARRAY_LEN(in_service));
}

static void add_parts(struct descriptors *d, struct bytes scope, struct bytes content, const struct part *parts,
                      size_t count)
{
    struct reader r = reader_of(content);
    struct wire_field f;
    while (wire_next(&r, &f))
        for (size_t i = 0; i < count; i++)
            if (f.number == parts[i].field && f.type == WIRE_BYTES)
                add(d, scope, parts[i].kind, f.bytes);
    CHECK(!r.bad);
}

/* ---- files ---- */

/* protoc writes a file behind all it imports. */
static uint64_t file_needs(const struct descriptors *d, struct bytes content)
{
    struct reader r = reader_of(content);
    struct wire_field f;
    uint64_t needs = UINT64_C(1) << d->files;
    while (wire_next(&r, &f))
        if (f.number == FILE_DEPENDENCY && f.type == WIRE_BYTES) {
            const struct descriptor_file *imported = descriptors_find_file(d, f.bytes);
            CHECK(imported);
            needs |= imported->needs;
        }
    CHECK(!r.bad);
    return needs;
}

static void add_file(struct descriptors *d, struct bytes content)
{
    static const struct part in_file[] = {
        {FILE_MESSAGE, DESCRIPTOR_MESSAGE}, {FILE_ENUM, DESCRIPTOR_ENUM}, {FILE_SERVICE, DESCRIPTOR_SERVICE}};
    CHECK(d->files < DESCRIPTORS_FILES_MAX);
    d->file[d->files] = (struct descriptor_file){
        .name = text_field(content, FILE_NAME), .bytes = content, .needs = file_needs(d, content)};
    add_parts(d, text_field(content, FILE_PACKAGE), content, in_file, ARRAY_LEN(in_file));
    d->files++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct descriptor *)a)->name, ((const struct descriptor *)b)->name);
}

static_assert(DESCRIPTORS_FILES_MAX <= 64, "a file is a bit of `needs`");

struct descriptors *descriptors_open(void)
{
    struct descriptors *d = mem_new(1, sizeof *d);
    struct reader r = reader_of(bytes_of(api_descriptor_set, api_descriptor_set_size));
    struct wire_field f;
    while (wire_next(&r, &f))
        if (f.number == SET_FILE && f.type == WIRE_BYTES)
            add_file(d, f.bytes);
    CHECK(!r.bad && d->count > 0);
    qsort(d->descriptor, d->count, sizeof *d->descriptor, by_name);
    return d;
}

void descriptors_close(struct descriptors *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->count; i++)
        free(d->descriptor[i].name);
    free(d->descriptor);
    free(d);
}

/* ---- look-ups ---- */

static int compare_name(const void *key, const void *element)
{
    const struct bytes *name = key;
    const char *other = ((const struct descriptor *)element)->name;
    size_t size = strlen(other), common = name->size < size ? name->size : size;
    int order = common ? memcmp(name->data, other, common) : 0;
    return order ? order : (name->size > size) - (name->size < size);
}

const struct descriptor *descriptors_find(const struct descriptors *d, struct bytes name)
{
    return bsearch(&name, d->descriptor, d->count, sizeof *d->descriptor, compare_name);
}

const struct descriptor_file *descriptors_find_file(const struct descriptors *d, struct bytes name)
{
    for (uint32_t i = 0; i < d->files; i++)
        if (bytes_equal(d->file[i].name, name))
            return &d->file[i];
    return NULL;
}

bool descriptors_has_method(const struct descriptors *d, struct bytes path)
{
    enum { PATH_MAX_BYTES = 512 }; /* no declared one is as long */
    uint8_t name[PATH_MAX_BYTES];
    const struct descriptor *service, *method;
    if (path.size < 2 || path.size > sizeof name || path.data[0] != '/')
        return false;
    memcpy(name, path.data + 1, path.size - 1);
    uint8_t *slash = memchr(name, '/', path.size - 1);
    if (!slash)
        return false;
    *slash = '.';
    service = descriptors_find(d, bytes_of(name, (size_t)(slash - name)));
    method = descriptors_find(d, bytes_of(name, path.size - 1));
    return service && service->kind == DESCRIPTOR_SERVICE && method && method->kind == DESCRIPTOR_METHOD;
}
