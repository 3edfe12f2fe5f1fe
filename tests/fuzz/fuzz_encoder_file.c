/* Encoders out of files: refused with words, or one that encodes; its tensors lie inside the file, each in its place. */
#include <stdlib.h>

#include "proto/json_safetensors.h"
#include "ps/engine/encoder_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensors(const struct safetensors *s, struct bytes file)
{
    const uint8_t *end = NULL;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct tensor *t = safetensors_at(s, i);
        CHECK(t->name[0] && t->data.data >= file.data && t->data.data + t->data.size <= file.data + file.size);
        CHECK(i == 0 || t->data.data == end);
        CHECK(strcmp(safetensors_find(s, t->name)->name, t->name) == 0);
        end = t->data.data + t->data.size;
    }
}

static void check_encoder(const struct encoder *e)
{
    const struct encoder_layout *l = encoder_layout(e);
    float *room = mem_new(encoder_room(e), sizeof *room), *x = mem_new(encoder_width(e), sizeof *x);
    float *dense = mem_new(l->dense + 1, sizeof *dense);
    uint32_t last[ENCODER_FIELDS_MAX];
    struct encoder_bag bag[ENCODER_FIELDS_MAX];
    for (uint32_t i = 0; i < l->field_count; i++) {
        last[i] = l->field[i].rows - 1;
        bag[i] = (struct encoder_bag){&last[i], 1};
    }
    encoder_run(e, &(struct encoder_input){dense, bag}, 1, room, x);
    CHECK(strlen(encoder_representation(e).text) == 32);
    free(room);
    free(x);
    free(dense);
}

static void check_file(struct bytes file)
{
    struct safetensors *s = NULL;
    struct encoder *e = NULL;
    struct tm_error err = {0};
    if (safetensors_open(file, &s, &err) == TM_OK)
        check_tensors(s, file);
    else
        CHECK(!s && err.message[0]);
    err.message[0] = '\0';
    if (encoder_file_open(file, &e, &err) == TM_OK)
        check_encoder(e);
    else
        CHECK(!e && err.message[0]);
    encoder_close(e);
    safetensors_close(s);
}

/* As it is; and with the length of its header put right, which most changes leave wrong: so they reach what is behind. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_file(bytes_of(data, size));
    const uint8_t *end = size > 8 ? memrchr(data + 8, '}', size - 8) : NULL;
    if (end) {
        uint64_t header = (uint64_t)(end - data) + 1 - 8;
        uint8_t *mended = memcpy(mem_new(size, 1), data, size);
        memcpy(mended, &header, sizeof header);
        check_file(bytes_of(mended, size));
        free(mended);
    }
    return 0;
}
