/* client/avro.h - samples as an Avro container file, deflated (the only door to libavro).
 *
 * Schema   tidemill.Sample, in client/avro.c and in the file itself; https://avro.apache.org/docs/1.11.1/specification/
 * Bounds   a block holds AVRO_BLOCK_BYTES before it is deflated; an event, and so a sample, is smaller.
 * Errors   TM_IO with libavro's words. Threads: one. */
#ifndef TIDEMILL_CLIENT_AVRO_H
#define TIDEMILL_CLIENT_AVRO_H

#include "client/sample_format.h"

enum { AVRO_BLOCK_BYTES = 4 << 20 };

struct sample_writer *sample_avro_open(FILE *out, bool features);

#endif
