/* ps/server/sample_request.h - what a caller of TailSamples or ExportSamples asks for, checked.
 *
 * Memory   a request owns the message that its query's texts point into. Threads: one. */
#ifndef TIDEMILL_PS_SERVER_SAMPLE_REQUEST_H
#define TIDEMILL_PS_SERVER_SAMPLE_REQUEST_H

#include <protobuf-c/protobuf-c.h>

#include "ps/engine/sample_reader.h"

struct sample_request {
    ProtobufCMessage *message;
    struct sample_query query;
    bool features;
};

/* On TM_OK the caller ends it with sample_request_close(). */
enum tm_code sample_request_tail(struct engine *e, struct bytes wire, struct sample_request *out, struct tm_error *err);
enum tm_code sample_request_export(struct engine *e, struct bytes wire, struct sample_request *out,
                                   struct tm_error *err);
void sample_request_close(struct sample_request *r); /* {0} is fine */

#endif
