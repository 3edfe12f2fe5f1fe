#include "ps/engine/encoder_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/json_safetensors.h"

enum { TENSOR_NAME_SIZE = ENCODER_NAME_MAX + 32 };

/* ---- metadata ---- */

/* The next of words separated by commas, cut off *list; false behind the last. */
static bool next_word(struct bytes *list, struct bytes *word)
{
    const uint8_t *comma = list->size ? memchr(list->data, ',', list->size) : NULL;
    if (!list->data)
        return false;
    *word = bytes_of(list->data, comma ? (size_t)(comma - list->data) : list->size);
    *list = comma ? bytes_of(comma + 1, list->size - word->size - 1) : (struct bytes){0};
    return true;
}

/* What is absent or empty has no words. */
static struct bytes words_of(const struct safetensors *s, const char *key)
{
    const char *text = safetensors_metadata(s, key);
    return text && text[0] ? bytes_text(text) : (struct bytes){0};
}

static enum tm_code read_version(const struct safetensors *s, struct tm_error *err)
{
    const char *version = safetensors_metadata(s, "tidemill.encoder");
    if (!version || strcmp(version, "1") != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "metadata tidemill.encoder: %.32s; expected \"1\"",
                            version ? version : "none");
    return TM_OK;
}

static enum tm_code read_dense(const struct safetensors *s, struct encoder_layout *l, struct tm_error *err)
{
    struct bytes text = words_of(s, "tidemill.dense");
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || l->dense > ENCODER_WIDTH_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "metadata tidemill.dense: \"%.32s\" is not in [0, %d]",
                                safetensors_metadata(s, "tidemill.dense"), ENCODER_WIDTH_MAX);
        l->dense = l->dense * 10 + (uint32_t)(text.data[i] - '0');
    }
    return TM_OK;
}

static enum tm_code read_activations(const struct safetensors *s, struct encoder_layout *l, struct tm_error *err)
{
    struct bytes list = words_of(s, "tidemill.activations"), word;
    while (next_word(&list, &word)) {
        unsigned a = 0;
        while (a < ACTIVATION_COUNT && !bytes_equal(word, bytes_text(encoder_activation_name(a))))
            a++;
        if (a == ACTIVATION_COUNT || l->layer_count == ENCODER_LAYERS_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "metadata tidemill.activations: \"%.*s\", number %u; expected identity, relu or tanh, "
                                "of at most %d layers",
                                (int)(word.size < 32 ? word.size : 32), (const char *)word.data, l->layer_count,
                                ENCODER_LAYERS_MAX);
        l->layer[l->layer_count++].activation = (enum encoder_activation)a;
    }
    return TM_OK;
}

/* "NAME:POOLING" */
static bool read_field(struct bytes word, struct encoder_field *f)
{
    for (unsigned p = 0; p < POOLING_COUNT; p++) {
        const char *pooling = encoder_pooling_name(p);
        size_t tail = strlen(pooling) + 1;
        if (word.size <= tail || word.size - tail > ENCODER_NAME_MAX || word.data[word.size - tail] != ':' ||
            memcmp(word.data + word.size - tail + 1, pooling, tail - 1) != 0)
            continue;
        f->pooling = (enum encoder_pooling)p;
        memcpy(f->name, word.data, word.size - tail);
        return true;
    }
    return false;
}

static enum tm_code read_fields(const struct safetensors *s, struct encoder_layout *l, struct tm_error *err)
{
    struct bytes list = words_of(s, "tidemill.fields"), word;
    while (next_word(&list, &word)) {
        if (l->field_count == ENCODER_FIELDS_MAX || !read_field(word, &l->field[l->field_count]))
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "metadata tidemill.fields: \"%.*s\", number %u; expected name:sum or name:mean, at "
                                "most %d of them, names of at most %d bytes",
                                (int)(word.size < 64 ? word.size : 64), (const char *)word.data, l->field_count,
                                ENCODER_FIELDS_MAX, ENCODER_NAME_MAX);
        l->field_count++;
    }
    return TM_OK;
}

/* ---- tensors ---- */

struct wanted {
    const struct safetensors *file;
    size_t used; /* tensors that have found their place */
};

/* A tensor's numbers and lengths. */
static enum tm_code take(struct wanted *w, const char *name, uint32_t rank, uint32_t *shape, const float **out,
                         struct tm_error *err)
{
    const struct tensor *t = safetensors_find(w->file, name);
    if (!t)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: not in the file", name);
    if (t->type != TENSOR_F32)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: dtype %s; expected F32", name,
                            tensor_type_name(t->type));
    if (t->rank != rank)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: rank %u; expected %u", name, t->rank, rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (t->shape[i] > UINT32_MAX)
            return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: shape[%u]: %" PRIu64 " is too much", name, i,
                                t->shape[i]);
        shape[i] = (uint32_t)t->shape[i];
    }
    *out = (const float *)(const void *)t->data.data;
    w->used++;
    return TM_OK;
}

static enum tm_code take_field(struct wanted *w, struct encoder_field *f, struct tm_error *err)
{
    char name[TENSOR_NAME_SIZE];
    uint32_t shape[2];
    snprintf(name, sizeof name, "fields.%s.weight", f->name);
    enum tm_code rc = take(w, name, 2, shape, &f->table, err);
    if (rc != TM_OK)
        return rc;
    f->rows = shape[0];
    f->width = shape[1];
    return TM_OK;
}

static enum tm_code take_layer(struct wanted *w, struct encoder_layout *l, uint32_t i, struct tm_error *err)
{
    struct encoder_layer *layer = &l->layer[i];
    char name[TENSOR_NAME_SIZE];
    uint32_t shape[2], bias;
    snprintf(name, sizeof name, "layers.%u.weight", i);
    enum tm_code rc = take(w, name, 2, shape, &layer->weight, err);
    if (rc != TM_OK)
        return rc;
    snprintf(name, sizeof name, "layers.%u.bias", i);
    rc = take(w, name, 1, &bias, &layer->bias, err);
    if (rc != TM_OK)
        return rc;
    layer->out = shape[0];
    layer->in = shape[1];
    if (bias != layer->out)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "tensor %s: %u numbers; the layer has %u", name, bias,
                            layer->out);
    return TM_OK;
}

/* The same field twice takes one tensor twice; encoder_open refuses that. */
static enum tm_code check_all_used(const struct wanted *w, const struct encoder_layout *l, struct tm_error *err)
{
    if (w->used == safetensors_count(w->file))
        return TM_OK;
    return tm_error_set(err, TM_INVALID_ARGUMENT,
                        "%zu tensors; the metadata has places for %zu (%u fields, %u layers with weight and bias)",
                        safetensors_count(w->file), w->used, l->field_count, l->layer_count);
}

static enum tm_code read_layout(const struct safetensors *s, struct encoder_layout *l, struct tm_error *err)
{
    struct wanted w = {.file = s};
    enum tm_code rc = read_version(s, err);
    if (rc == TM_OK)
        rc = read_dense(s, l, err);
    if (rc == TM_OK)
        rc = read_fields(s, l, err);
    if (rc == TM_OK)
        rc = read_activations(s, l, err);
    for (uint32_t i = 0; rc == TM_OK && i < l->field_count; i++)
        rc = take_field(&w, &l->field[i], err);
    for (uint32_t i = 0; rc == TM_OK && i < l->layer_count; i++)
        rc = take_layer(&w, l, i, err);
    return rc == TM_OK ? check_all_used(&w, l, err) : rc;
}

enum tm_code encoder_file_open(struct bytes file, struct encoder **ret, struct tm_error *err)
{
    struct safetensors *s;
    enum tm_code rc = safetensors_open(file, &s, err);
    if (rc != TM_OK)
        return rc;
    struct encoder_layout *l = mem_new(1, sizeof *l);
    rc = read_layout(s, l, err);
    if (rc == TM_OK)
        rc = encoder_open(l, ret, err);
    free(l);
    safetensors_close(s);
    return rc;
}
