/* proto/json_safetensors.h - tensors in a file: the safetensors format, read from bytes that nobody vouches for.
 *
 * Format   u64 little-endian size of the header; the header, one JSON object {name: {"dtype", "shape",
 *          "data_offsets": [begin, end]}, "__metadata__": {text: text}}, spaces allowed behind it; then the data, which
 *          the tensors cover without holes or overlaps. Source: "Format" in the README of the safetensors project.
 * Refused  what contradicts itself or the file: a header that is larger than the file or SAFETENSORS_HEADER_MAX, is not
 *          UTF-8 JSON or gives a name twice; an unknown dtype or key; offsets that are not the size of shape and dtype,
 *          lie outside, overlap or leave holes; data that is not aligned to its dtype in the file (the format's own
 *          writer pads the header so that it is). Numbers inside tensors are not looked at.
 * Memory   the file's bytes are the caller's, begin at a multiple of 8 (as what is mapped or allocated does), and
 *          outlive the struct, whose tensors point into them. Names are owned.
 * Errors   TM_INVALID_ARGUMENT, or TM_RESOURCE_EXHAUSTED for what is too much; both name the tensor.
 * Threads  any; an open file is not changed by reading it. */
#ifndef TIDEMILL_PROTO_JSON_SAFETENSORS_H
#define TIDEMILL_PROTO_JSON_SAFETENSORS_H

#include "base/bytes.h"
#include "base/error.h"

enum {
    SAFETENSORS_HEADER_MAX = 1 << 20, /* bytes */
    SAFETENSORS_TENSORS_MAX = 1024,
    SAFETENSORS_NAME_MAX = 255,
    SAFETENSORS_RANK_MAX = 8,
};

/* clang-format off */
/*    dtype  bytes an element */
#define TENSOR_TYPES(T)                                                                                       \
    T(BOOL, 1) T(U8, 1)  T(I8, 1)  T(F8_E4M3, 1) T(F8_E5M2, 1)                                                \
    T(U16, 2)  T(I16, 2) T(F16, 2) T(BF16, 2)                                                                 \
    T(U32, 4)  T(I32, 4) T(F32, 4)                                                                            \
    T(U64, 8)  T(I64, 8) T(F64, 8)

enum tensor_type {
#define T(name, size) TENSOR_##name,
    TENSOR_TYPES(T)
#undef T
    TENSOR_TYPE_COUNT
};
/* clang-format on */

struct tensor {
    const char *name;
    enum tensor_type type;
    uint32_t rank; /* 0: one element */
    uint64_t shape[SAFETENSORS_RANK_MAX];
    struct bytes data; /* by rows */
};

struct safetensors;

/* On TM_OK the caller ends *ret with safetensors_close(); otherwise it is untouched. */
enum tm_code safetensors_open(struct bytes file, struct safetensors **ret, struct tm_error *err);
void safetensors_close(struct safetensors *s); /* NULL is fine */

size_t safetensors_count(const struct safetensors *s);
const struct tensor *safetensors_at(const struct safetensors *s, size_t i); /* in the order of their data */
const struct tensor *safetensors_find(const struct safetensors *s, const char *name);
/* NULL: not in "__metadata__". */
const char *safetensors_metadata(const struct safetensors *s, const char *key);

const char *tensor_type_name(enum tensor_type type);

#endif
