#include "ps/storage/state_db.h"

#include <stdlib.h>

#include "ps/storage/rocks.h"

struct state_db {
    struct rocks *db;
    struct rocks_batch *batch; /* of the commits, one after the other: its memory is used again */
};

/* A chunk of parameters may stay for ever, and would hold on to the blob file it is in. */
static enum rocks_rows rows_of(enum store_table table)
{
    return store_table_is_packed(table) ? ROCKS_PASSING : table == STORE_DOC ? ROCKS_SMALL : ROCKS_PLAIN;
}

enum tm_code state_db_open(const char *path, struct state_db **out, struct tm_error *err)
{
    struct rocks_family families[STORE_TABLE_COUNT];
    struct rocks *db;
    for (enum store_table t = 0; t < STORE_TABLE_COUNT; t++)
        families[t] = (struct rocks_family){store_table_name(t), rows_of(t)};
    enum tm_code rc = rocks_open(path, ROCKS_STATE, families, ARRAY_LEN(families), &db, err);
    if (rc)
        return rc;
    *out = mem_new(1, sizeof **out);
    (*out)->db = db;
    (*out)->batch = rocks_batch_new(db);
    return TM_OK;
}

bool state_db_was_incomplete(const struct state_db *s) { return rocks_was_incomplete(s->db); }

void state_db_guard(struct state_db *s, struct disk *disk) { rocks_guard(s->db, disk); }

void state_db_close(struct state_db *s)
{
    if (!s)
        return;
    rocks_batch_free(s->batch);
    rocks_close(s->db);
    free(s);
}

static enum tm_code scan(void *self, enum store_table table, struct bytes from, struct bytes prefix, store_visit *visit,
                         void *context, struct tm_error *err)
{
    struct state_db *s = self;
    return rocks_scan(s->db, table, from, prefix, visit, context, err);
}

static enum tm_code scan_patiently(void *self, enum store_table table, struct bytes from, struct bytes prefix,
                                   store_visit *visit, void *context, struct tm_error *err)
{
    struct state_db *s = self;
    return rocks_scan_patiently(s->db, table, from, prefix, visit, context, err);
}

static enum tm_code get(void *self, enum store_table table, struct bytes key, struct buffer *out, struct tm_error *err)
{
    struct state_db *s = self;
    return rocks_get(s->db, table, key, out, err);
}

static enum tm_code get_patiently(void *self, enum store_table table, struct bytes key, struct buffer *out,
                                  struct tm_error *err)
{
    struct state_db *s = self;
    return rocks_get_patiently(s->db, table, key, out, err);
}

struct store state_db_patient_store(struct state_db *s)
{
    return (struct store){.self = s, .scan = scan_patiently, .get = get_patiently};
}

struct store state_db_store(struct state_db *s) { return (struct store){.self = s, .scan = scan, .get = get}; }

uint64_t state_db_commit(struct state_db *s, const struct store_batch *commit)
{
    struct reader r = reader_of(buffer_view(&commit->operations));
    struct store_operation op;
    rocks_batch_clear(s->batch);
    while (store_batch_next(&r, &op)) {
        if (op.remove)
            rocks_batch_remove(s->batch, op.table, op.key);
        else if (store_table_is_packed(op.table))
            rocks_batch_put_packed(s->batch, op.table, op.key, op.value);
        else
            rocks_batch_put(s->batch, op.table, op.key, op.value);
    }
    rocks_write(s->db, s->batch);
    return rocks_batch_bytes(s->batch);
}

void state_db_sync(struct state_db *s) { rocks_sync(s->db); }
void state_db_status(struct state_db *s, struct rocks_status *out) { rocks_status(s->db, out); }
