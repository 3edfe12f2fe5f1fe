/* proto/descriptors.h - what the services are made of: the compiled .proto files inside the program, and an index of
 * their names.
 *
 * Names    full ones: "tidemill.v1.Events" (a service), "tidemill.v1.Events.Ingest" (a method),
 *          "grpc.health.v1.HealthCheckResponse.ServingStatus" (a nested enum). Files as they are imported:
 *          "tidemill/v1/events.proto".
 * Memory   an index owns its names; the files' bytes are the program's, and last.
 * Threads  any, once it is made.
 * Errors   none: the files were compiled by protoc together with the program, so a damaged one is our own mistake.
 * Format   a FileDescriptorSet as descriptor.proto of protobuf defines it; of each file the parts that carry names. */
#ifndef TIDEMILL_PROTO_DESCRIPTORS_H
#define TIDEMILL_PROTO_DESCRIPTORS_H

#include "base/bytes.h"

enum { DESCRIPTORS_FILES_MAX = 64 };

enum descriptor_kind { DESCRIPTOR_SERVICE, DESCRIPTOR_METHOD, DESCRIPTOR_MESSAGE, DESCRIPTOR_ENUM };

struct descriptor {
    char *name; /* full */
    enum descriptor_kind kind;
    uint32_t file; /* that it stands in */
};

struct descriptor_file {
    struct bytes name;
    struct bytes bytes; /* its FileDescriptorProto */
    uint64_t needs;     /* a bit per file: itself, and all it imports, directly or not */
};

struct descriptors {
    struct descriptor_file file[DESCRIPTORS_FILES_MAX]; /* imported ones before those that import them */
    uint32_t files;
    struct descriptor *descriptor; /* by name */
    uint32_t count;
};

struct descriptors *descriptors_open(void);
void descriptors_close(struct descriptors *d); /* NULL is fine */

/* NULL: there is none. */
const struct descriptor *descriptors_find(const struct descriptors *d, struct bytes name);
const struct descriptor_file *descriptors_find_file(const struct descriptors *d, struct bytes name);
/* Is it declared, "/tidemill.v1.Events/Ingest"? */
bool descriptors_has_method(const struct descriptors *d, struct bytes path);

#endif
