/* ps/engine/encoder_file.h - an encoder out of a safetensors file; docs/encoder.md says how such a file is made.
 *
 * Metadata  "tidemill.encoder": "1", the version of these rules; "tidemill.dense": how many numbers a row has
 *           (default 0); "tidemill.fields": "country:mean,tags:sum", names and poolings in the order in which they go
 *           in (default none); "tidemill.activations": "relu,identity", one per layer.
 * Tensors   of dtype F32 and nothing else: "fields.NAME.weight" [rows, width], "layers.I.weight" [out, in],
 *           "layers.I.bias" [out], I = 0, 1, ... Any tensor that the metadata does not name is refused.
 * Memory    file: as in proto/json_safetensors.h; it may go when this returns. On TM_OK the caller ends *ret with
 *           encoder_close(). Pure: whoever calls maps or reads the file.
 * Errors    of the file's format, of these rules, of encoder_open. */
#ifndef TIDEMILL_PS_ENGINE_ENCODER_FILE_H
#define TIDEMILL_PS_ENGINE_ENCODER_FILE_H

#include "learner/encoder.h"

enum tm_code encoder_file_open(struct bytes file, struct encoder **ret, struct tm_error *err);

#endif
