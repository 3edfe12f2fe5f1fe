#include "ps/engine/encoders.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "ps/engine/encoder_file.h"

struct encoders {
    char folder[PATH_MAX];
    pthread_mutex_t mutex; /* guards the rest */
    struct encoder *encoder[ENCODERS_MAX];
    uint32_t count;
};

struct encoders *encoders_open(const char *data)
{
    struct encoders *e = mem_new(1, sizeof *e);
    snprintf(e->folder, sizeof e->folder, "%.*s/encoders", PATH_MAX - 16, data);
    CHECK(pthread_mutex_init(&e->mutex, NULL) == 0);
    return e;
}

void encoders_close(struct encoders *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; i < e->count; i++)
        encoder_close(e->encoder[i]);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

static enum tm_code read_file(const char *path, struct buffer *content, struct encoder **ret, struct tm_error *err)
{
    enum tm_code rc = file_read(path, ENCODER_FILE_MAX, content, err);
    if (rc == TM_OK)
        rc = encoder_file_open(buffer_view(content), ret, err);
    else
        return rc; /* names the file */
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "%s", path);
}

enum tm_code encoders_read(const char *path, struct encoder **ret, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer content = {0};
    return read_file(path, &content, ret, err);
}

static void path_of(const struct encoders *e, const struct encoder_id *id, char path[static PATH_MAX + 64])
{
    snprintf(path, PATH_MAX + 64, "%s/%s.safetensors", e->folder, id->text);
}

/* The caller has the mutex. */
static const struct encoder *find_open(const struct encoders *e, const struct encoder_id *id)
{
    for (uint32_t i = 0; i < e->count; i++)
        if (strcmp(encoder_representation(e->encoder[i]).text, id->text) == 0)
            return e->encoder[i];
    return NULL;
}

static const struct encoder *refuse(const char *path, const struct encoder_id *id, struct tm_error *err)
{
    char why[sizeof err->message];
    snprintf(why, sizeof why, "%s", err->message);
    tm_error_set(err, TM_DATA_LOSS,
                 "encoder %s: %.300s; versions learn by it: put the file back as %.200s, whose representation is this "
                 "name (it is the one that the configuration named, or a copy of another server)",
                 id->text, why, path);
    return NULL;
}

static const struct encoder *open_kept(struct encoders *e, const struct encoder_id *id, struct tm_error *err)
{
    char path[PATH_MAX + 64];
    struct encoder *opened = NULL;
    path_of(e, id, path);
    if (e->count == ENCODERS_MAX) {
        tm_error_set(err, TM_RESOURCE_EXHAUSTED, "encoder %s: %d are open already", id->text, ENCODERS_MAX);
        return NULL;
    }
    if (encoders_read(path, &opened, err) != TM_OK)
        return refuse(path, id, err);
    struct encoder_id is = encoder_representation(opened);
    if (strcmp(is.text, id->text) != 0) {
        encoder_close(opened);
        tm_error_set(err, TM_DATA_LOSS, "the file makes representation %s", is.text);
        return refuse(path, id, err);
    }
    return e->encoder[e->count++] = opened;
}

const struct encoder *encoders_find(void *encoders, const struct encoder_id *id, struct tm_error *err)
{
    struct encoders *e = encoders;
    CHECK(pthread_mutex_lock(&e->mutex) == 0);
    const struct encoder *found = find_open(e, id);
    if (!found)
        found = open_kept(e, id, err);
    CHECK(pthread_mutex_unlock(&e->mutex) == 0);
    return found;
}

enum tm_code encoders_keep(struct encoders *e, const char *path, struct encoder_id *id, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer content = {0};
    char kept[PATH_MAX + 64];
    struct encoder *opened = NULL;
    struct tm_error ignored;
    enum tm_code rc = read_file(path, &content, &opened, err);
    if (rc != TM_OK)
        return rc;
    *id = encoder_representation(opened);
    encoder_close(opened);
    if (encoders_find(e, id, &ignored))
        return TM_OK;
    path_of(e, id, kept);
    rc = file_make_dir(e->folder, err);
    return rc == TM_OK ? file_write_atomic(kept, buffer_view(&content), err) : rc;
}
