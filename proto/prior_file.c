#include "proto/prior_file.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "proto/json_safetensors.h"

static const double asymmetry_max = 1e-6; /* of the product of two sds */

static double number_at(const struct tensor *t, size_t i)
{
    double wide;
    float narrow;
    if (t->type == TENSOR_F64) {
        memcpy(&wide, t->data.data + i * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, t->data.data + i * sizeof narrow, sizeof narrow);
    return (double)narrow;
}

static uint64_t numbers_of(const struct tensor *t) { return t->rank == 2 ? t->shape[0] * t->shape[1] : t->shape[0]; }

static enum tm_code check_numbers(const struct tensor *t, struct tm_error *err)
{
    for (size_t i = 0; i < numbers_of(t); i++)
        if (!isfinite(number_at(t, i)))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: number %zu is %g; expected finite numbers",
                                t->name, i, number_at(t, i));
    return TM_OK;
}

/* n = 0: as many as there are. */
static enum tm_code check_tensor(const struct tensor *t, uint32_t rank, uint64_t n, struct tm_error *err)
{
    if (t->type != TENSOR_F32 && t->type != TENSOR_F64)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: dtype %s; expected F32 or F64", t->name,
                            tensor_type_name(t->type));
    if (t->rank != rank || (rank == 2 && t->shape[0] != t->shape[1]))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: expected shape %s", t->name,
                            rank == 2 ? "[n, n]" : "[n]");
    if (n > 0 && t->shape[0] != n)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: %llu weights; mean has %llu", t->name,
                            (unsigned long long)t->shape[0], (unsigned long long)n);
    uint64_t most = rank == 2 ? PRIOR_FULL_MAX : PRIOR_WEIGHTS_MAX;
    if (t->shape[0] < 1 || t->shape[0] > most)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: %llu weights; expected 1 to %llu", t->name,
                            (unsigned long long)t->shape[0], (unsigned long long)most);
    return check_numbers(t, err);
}

static enum tm_code take_sds(const struct tensor *t, uint64_t n, double *out, struct tm_error *err)
{
    enum tm_code rc = check_tensor(t, 1, n, err);
    for (size_t i = 0; rc == TM_OK && i < n; i++) {
        out[i] = number_at(t, i);
        if (out[i] <= 0)
            rc = tm_error_set(err, TM_INVALID_ARGUMENT, "tensor sd: number %zu is %g; expected more than 0", i, out[i]);
    }
    return rc;
}

/* Its lower triangle. */
static enum tm_code take_covariance(const struct tensor *t, uint64_t n, double *out, struct tm_error *err)
{
    enum tm_code rc = check_tensor(t, 2, n, err);
    for (size_t i = 0; rc == TM_OK && i < n; i++) {
        if (number_at(t, i * n + i) <= 0)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor covariance: [%zu, %zu] is %g; expected more than 0",
                                i, i, number_at(t, i * n + i));
        for (size_t j = 0; j <= i; j++) {
            double below = number_at(t, i * n + j), above = number_at(t, j * n + i);
            double scale = sqrt(number_at(t, i * n + i) * number_at(t, j * n + j));
            if (fabs(below - above) > asymmetry_max * scale)
                return tm_error_set(err, TM_INVALID_ARGUMENT,
                                    "tensor covariance: [%zu, %zu] is %g and [%zu, %zu] is %g; expected a symmetric "
                                    "matrix",
                                    i, j, below, j, i, above);
            *out++ = below;
        }
    }
    return rc;
}

static enum tm_code take(const struct safetensors *s, double **values, size_t *count, struct tm_error *err)
{
    const struct tensor *mean = safetensors_find(s, "mean"), *sd = safetensors_find(s, "sd");
    const struct tensor *covariance = safetensors_find(s, "covariance");
    if (!mean || !sd == !covariance || safetensors_count(s) != 2)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%zu tensors; expected mean, and sd or covariance, and no other",
                            safetensors_count(s));
    enum tm_code rc = check_tensor(mean, 1, 0, err);
    if (rc != TM_OK)
        return rc;
    size_t n = mean->shape[0], packed = n * (n + 1) / 2;
    double *out = mem_new(n + (sd ? n : packed), sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = number_at(mean, i);
    rc = sd ? take_sds(sd, n, out + n, err) : take_covariance(covariance, n, out + n, err);
    if (rc != TM_OK) {
        free(out);
        return rc;
    }
    *values = out;
    *count = n + (sd ? n : packed);
    return TM_OK;
}

enum tm_code prior_file_parse(struct bytes file, double **values, size_t *count, struct tm_error *err)
{
    struct safetensors *s;
    enum tm_code rc = safetensors_open(file, &s, err);
    if (rc != TM_OK)
        return rc;
    rc = take(s, values, count, err);
    safetensors_close(s);
    return rc;
}

enum tm_code prior_file_read(const char *path, double **values, size_t *count, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer content = {0};
    enum tm_code rc = file_read(path, PRIOR_FILE_MAX, &content, err);
    if (rc != TM_OK)
        return rc; /* names the file */
    rc = prior_file_parse(buffer_view(&content), values, count, err);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "%s", path);
}
