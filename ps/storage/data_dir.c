#include "ps/storage/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "ps/storage/state_db.h"

enum { FORMAT_VERSION = 3, CURRENT_SIZE_MAX = 64, CLUSTER_SIZE = 32 };

/* Rows of LOG_META that are ours. */
static const char identity_key[] = "identity"; /* {version u32, shards u32, hash seed u64, cluster 32 bytes} */
static const char start_key[] = "start";       /* u64 */

static const struct rocks_family log_families[LOG_FAMILY_COUNT] = {[LOG_BLOCK] = {"block", ROCKS_PACKED},
                                                                   [LOG_PRODUCER] = {"producer", ROCKS_PLAIN},
                                                                   [LOG_META] = {"meta", ROCKS_PLAIN},
                                                                   [LOG_REJECTED] = {"rejected", ROCKS_PLAIN},
                                                                   [LOG_LOOKUP] = {"lookup", ROCKS_SMALL}};

static enum tm_code path_in(const struct data_dir *d, const char *name, char out[static PATH_MAX], struct tm_error *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s", d->path, name) >= PATH_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: the path is too long", d->path);
    return TM_OK;
}

static enum tm_code is_there(const struct data_dir *d, const char *name, bool *there, struct tm_error *err)
{
    char path[PATH_MAX];
    struct stat st;
    enum tm_code rc = path_in(d, name, path, err);
    if (rc)
        return rc;
    *there = stat(path, &st) == 0;
    if (!*there && errno != ENOENT)
        return tm_error_set(err, TM_IO, "%s: stat: %s", path, strerrordesc_np(errno));
    return TM_OK;
}

static enum tm_code take_lock(struct data_dir *d, struct tm_error *err)
{
    char path[PATH_MAX];
    enum tm_code rc = path_in(d, "LOCK", path, err);
    return rc ? rc : file_lock(path, &d->lock, err);
}

static enum tm_code open_log(struct data_dir *d, struct tm_error *err)
{
    char path[PATH_MAX];
    enum tm_code rc = path_in(d, "log", path, err);
    if (rc == TM_OK)
        rc = rocks_open(path, ROCKS_LOG, log_families, LOG_FAMILY_COUNT, &d->log, err);
    if (rc == TM_OK)
        rocks_guard(d->log, d->disk);
    return rc;
}

static void write_meta(struct data_dir *d, const char *key, struct bytes value)
{
    struct rocks_batch *batch = rocks_batch_new(d->log);
    rocks_batch_put(batch, LOG_META, bytes_text(key), value);
    rocks_write(d->log, batch);
    rocks_batch_free(batch);
}

/* Data without a name belongs to nobody: it is refused, not adopted. */
static enum tm_code check_new(struct data_dir *d, struct tm_error *err)
{
    static const char *const traces[] = {"state", "CURRENT"};
    CLEANUP(buffer_close) struct buffer key = {0}, value = {0};
    bool there = false;
    enum tm_code rc = TM_OK;
    for (size_t i = 0; i < ARRAY_LEN(traces) && rc == TM_OK; i++) {
        rc = is_there(d, traces[i], &there, err);
        if (rc == TM_OK && there)
            rc = tm_error_set(err, TM_DATA_LOSS, "%s: %s is there, but the log has no identity: is log/ missing?",
                              d->path, traces[i]);
    }
    if (rc)
        return rc;
    rc = rocks_last(d->log, LOG_BLOCK, &key, &value, err);
    if (rc == TM_OK)
        return tm_error_set(err, TM_DATA_LOSS, "%s: the log has blocks, but no identity", d->path);
    return rc == TM_NOT_FOUND ? TM_OK : rc;
}

static enum tm_code make_identity(struct data_dir *d, uint32_t shards, struct tm_error *err)
{
    uint8_t id[CLUSTER_SIZE / 2];
    CLEANUP(buffer_close) struct buffer row = {0};
    enum tm_code rc = check_new(d, err);
    if (rc == TM_OK)
        rc = random_fill(id, sizeof id, err);
    if (rc == TM_OK)
        rc = random_fill(&d->hash_seed, sizeof d->hash_seed, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof id; i++)
        snprintf(d->cluster + 2 * i, 3, "%02x", id[i]);
    d->shards = shards;
    buffer_put_u32(&row, FORMAT_VERSION);
    buffer_put_u32(&row, shards);
    buffer_put_u64(&row, d->hash_seed);
    buffer_put(&row, d->cluster, CLUSTER_SIZE);
    write_meta(d, identity_key, buffer_view(&row));
    return TM_OK;
}

static enum tm_code check_identity(struct data_dir *d, struct bytes row, uint32_t shards, struct tm_error *err)
{
    struct reader r = reader_of(row);
    uint32_t version = reader_u32(&r);
    if (!r.bad && version != 0 && version != FORMAT_VERSION)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "%s: made by %s version: its format is %" PRIu32 ", this program reads %d", d->path,
                            version > FORMAT_VERSION ? "a newer" : "an older", version, FORMAT_VERSION);
    d->shards = reader_u32(&r);
    d->hash_seed = reader_u64(&r);
    const uint8_t *cluster = reader_take(&r, CLUSTER_SIZE);
    if (!cluster || reader_left(&r) != 0 || version == 0 || d->shards == 0)
        return tm_error_set(err, TM_DATA_LOSS, "%s: the identity in the log is damaged", d->path);
    memcpy(d->cluster, cluster, CLUSTER_SIZE);
    if (d->shards != shards)
        return tm_error_set(err, TM_FAILED_PRECONDITION,
                            "shards: the data directory was made with %" PRIu32 ", the configuration says %" PRIu32,
                            d->shards, shards);
    return TM_OK;
}

static enum tm_code identify(struct data_dir *d, uint32_t shards, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    enum tm_code rc = rocks_get(d->log, LOG_META, bytes_text(identity_key), &row, err);
    if (rc == TM_NOT_FOUND)
        return make_identity(d, shards, err);
    return rc ? rc : check_identity(d, buffer_view(&row), shards, err);
}

static enum tm_code read_start(struct data_dir *d, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    enum tm_code rc = rocks_get(d->log, LOG_META, bytes_text(start_key), &row, err);
    struct reader r = reader_of(buffer_view(&row));
    d->start = 0;
    if (rc)
        return rc == TM_NOT_FOUND ? TM_OK : rc;
    d->start = reader_u64(&r);
    if (r.bad || reader_left(&r) > 0)
        return tm_error_set(err, TM_DATA_LOSS, "%s: the start counter is damaged", d->path);
    return TM_OK;
}

static enum tm_code parse_current(struct data_dir *d, const char *path, struct bytes text, struct tm_error *err)
{
    char expected[CURRENT_SIZE_MAX] = "";
    if (sscanf((const char *)text.data, "state/%" SCNu64, &d->restore) == 1)
        snprintf(expected, sizeof expected, "state/%" PRIu64 "\n", d->restore);
    if (d->restore == 0 || !bytes_equal(text, bytes_text(expected)))
        return tm_error_set(err, TM_DATA_LOSS, "%s: must read like \"state/1\"", path);
    return TM_OK;
}

/* CURRENT is there from before the first start was counted: when it is missing later, somebody lost it, and the state
 * it named must not be guessed. */
static enum tm_code read_current(struct data_dir *d, struct tm_error *err)
{
    char path[PATH_MAX];
    CLEANUP(buffer_close) struct buffer text = {0};
    enum tm_code rc = path_in(d, "CURRENT", path, err);
    if (rc == TM_OK)
        rc = file_read(path, CURRENT_SIZE_MAX - 1, &text, err);
    if (rc == TM_OK) {
        *buffer_reserve(&text, 1) = '\0'; /* for sscanf; not counted */
        return parse_current(d, path, buffer_view(&text), err);
    }
    if (rc != TM_NOT_FOUND)
        return rc;
    if (d->start > 0)
        return tm_error_set(err, TM_DATA_LOSS, "%s: missing; it names the folder of the state, like \"state/1\"", path);
    d->restore = 1;
    return file_write_atomic(path, bytes_text("state/1\n"), err);
}

/* state/IDENTITY says whose state it is: one that belongs to another log would be read as ours. */
static enum tm_code claim_state(struct data_dir *d, struct tm_error *err)
{
    char path[PATH_MAX];
    CLEANUP(buffer_close) struct buffer owner = {0};
    enum tm_code rc = path_in(d, "state", path, err);
    if (rc == TM_OK)
        rc = file_make_dir(path, err);
    if (rc == TM_OK)
        rc = path_in(d, "state/IDENTITY", path, err);
    if (rc == TM_OK)
        rc = file_read(path, sizeof d->cluster, &owner, err);
    if (rc == TM_NOT_FOUND && d->start == 0)
        return file_write_atomic(path, bytes_text(d->cluster), err);
    if (rc == TM_OK && !bytes_equal(buffer_view(&owner), bytes_text(d->cluster)))
        rc = tm_error_set(err, TM_DATA_LOSS, "%s: names cluster %.*s; the log is of %s", path, (int)owner.size,
                          (const char *)owner.data, d->cluster);
    return rc == TM_NOT_FOUND
               ? tm_error_set(err, TM_DATA_LOSS, "%s: missing; it says which log the state belongs to", path)
               : rc;
}

static enum tm_code open_state(struct data_dir *d, struct tm_error *err)
{
    char name[CURRENT_SIZE_MAX], path[PATH_MAX];
    snprintf(name, sizeof name, "state/%" PRIu64, d->restore);
    enum tm_code rc = claim_state(d, err);
    if (rc == TM_OK)
        rc = path_in(d, name, path, err);
    if (rc == TM_OK)
        rc = state_db_open(path, &d->state, err);
    if (rc == TM_OK)
        state_db_guard(d->state, d->disk);
    if (rc == TM_OK && d->start > 0 && (rocks_was_incomplete(d->log) || state_db_was_incomplete(d->state)))
        rc = tm_error_set(err, TM_DATA_LOSS, "%s: a part of log or state is gone that was there at an earlier start",
                          d->path);
    return rc;
}

static void count_start(struct data_dir *d)
{
    d->start++;
    write_meta(d, start_key, bytes_of(&d->start, sizeof d->start));
}

/* Somebody's folder, named by mistake, is not filled with our files. */
static enum tm_code check_folder(const char *path, struct tm_error *err)
{
    static const char *const ours[] = {".", "..", "LOCK", "CURRENT", "log", "state", "encoders", "lost+found"};
    char stranger[256] = "";
    bool log = false;
    DIR *folder = opendir(path);
    if (!folder)
        return tm_error_set(err, TM_IO, "%s: %s", path, strerrordesc_np(errno));
    for (const struct dirent *e; (e = readdir(folder));) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(ours); i++)
            known |= strcmp(e->d_name, ours[i]) == 0;
        log |= strcmp(e->d_name, "log") == 0;
        if (!known)
            snprintf(stranger, sizeof stranger, "%s", e->d_name);
    }
    closedir(folder);
    if (log || !*stranger)
        return TM_OK;
    return tm_error_set(err, TM_FAILED_PRECONDITION,
                        "%s: holds \"%s\" and no data of ours; expected a new or empty folder", path, stranger);
}

enum tm_code data_dir_open(const char *path, uint32_t shards, uint64_t disk_reserve, const struct disk_watch *watch,
                           struct data_dir *out, struct tm_error *err)
{
    struct data_dir d = {.lock = -1};
    CHECK(shards > 0);
    if ((size_t)snprintf(d.path, sizeof d.path, "%s", path) >= sizeof d.path)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "the path of the data directory is too long");
    enum tm_code rc = file_make_dir(path, err);
    if (rc == TM_OK)
        rc = check_folder(path, err);
    if (rc == TM_OK)
        rc = take_lock(&d, err);
    if (rc == TM_OK)
        rc = disk_open(path, disk_reserve, watch, &d.disk, err);
    if (rc == TM_OK)
        rc = open_log(&d, err);
    if (rc == TM_OK)
        rc = identify(&d, shards, err);
    if (rc == TM_OK)
        rc = read_start(&d, err);
    if (rc == TM_OK)
        rc = read_current(&d, err);
    if (rc == TM_OK)
        rc = open_state(&d, err);
    if (rc) {
        data_dir_close(&d);
        return rc;
    }
    count_start(&d);
    *out = d;
    return TM_OK;
}

void data_dir_close(struct data_dir *d)
{
    state_db_close(d->state);
    rocks_close(d->log);
    disk_close(d->disk);
    if (d->lock >= 0)
        close(d->lock); /* last: whoever gets the lock finds both databases closed */
    *d = (struct data_dir){.lock = -1};
}
