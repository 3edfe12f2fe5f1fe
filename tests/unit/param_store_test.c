/* Tests of the rolling base: what was committed comes back, whatever was kept of it, and little is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "learner/beta.h"
#include "ps/state/param_store.h"
#include "tests/simulation/memory_store.h"
#include "tests/unit/random.h"

enum { SHARD = 7, VERSIONS = 3, DOCS = 400, BLOCK = sizeof(struct beta_block), ENTRY = PARAM_ID_BYTES + BLOCK };

/* The parameters of one shard, in memory and on disk, and the place that the shard would keep beside them. */
struct rig {
    struct version version[VERSIONS];
    struct table *table[VERSIONS];
    struct param_store params;
    struct memory_store disk;
    struct buffer place;
    size_t chunk_bytes, base_written, delta_written; /* by the last commit */
};

static struct doc_id id_of(uint32_t doc)
{
    return (struct doc_id){doc * UINT64_C(0x9e3779b97f4a7c15), doc * 2654435761u};
}

static void open_tables(struct rig *r)
{
    param_store_open(&r->params, SHARD, r->chunk_bytes);
    for (uint32_t i = 0; i < VERSIONS; i++) {
        r->table[i] = table_open(BLOCK);
        param_store_add(&r->params, &r->version[i], r->table[i]);
    }
}

static void close_tables(struct rig *r)
{
    param_store_close(&r->params);
    for (uint32_t i = 0; i < VERSIONS; i++)
        table_close(r->table[i]);
    rcu_settle();
}

static void open_rig(struct rig *r, size_t chunk_bytes)
{
    *r = (struct rig){.chunk_bytes = chunk_bytes};
    for (uint32_t i = 0; i < VERSIONS; i++)
        r->version[i] = (struct version){
            .id = 10 + i, .model = &model_beta, .name = "v", .config = {.prior = {1, 1}, .prior_count = 2}};
    open_tables(r);
}

static void close_rig(struct rig *r)
{
    close_tables(r);
    memory_store_close(&r->disk);
    buffer_close(&r->place);
}

static void learn(struct rig *r, uint32_t version, uint32_t doc, uint32_t value)
{
    bool fresh;
    struct beta_block b = {.s = value, .time = value, .positives = value};
    uint32_t number = table_upsert(r->table[version], id_of(doc), &b, &fresh);
    table_write(r->table[version], number, &b);
    table_mark_dirty(r->table[version], number);
}

static uint32_t value_of(const struct rig *r, uint32_t version, uint32_t doc)
{
    struct beta_block b;
    uint32_t number = table_find(r->table[version], id_of(doc));
    if (number == TABLE_NONE || !table_read(r->table[version], number, id_of(doc), &b))
        return 0;
    return b.positives;
}

static void commit(struct rig *r)
{
    struct store_batch batch = {0};
    struct store_operation op;
    param_store_commit(&r->params, &batch);
    struct reader reader = reader_of(buffer_view(&batch.operations));
    r->base_written = r->delta_written = 0;
    while (store_batch_next(&reader, &op))
        *(op.key.data[2] == PARAM_BASE ? &r->base_written : &r->delta_written) += op.value.size; /* none: removed */
    memory_store_commit(&r->disk, &batch);
    memory_store_sync(&r->disk);
    r->place.size = 0;
    param_store_encode(&r->params, &r->place);
}

static enum tm_code load(struct rig *r, struct tm_error *err)
{
    struct reader place = reader_of(buffer_view(&r->place));
    struct store store = memory_store_face(&r->disk);
    close_tables(r);
    open_tables(r);
    param_store_decode(&r->params, &place);
    return param_store_load(&r->params, &store, err);
}

static void load_well(struct rig *r)
{
    struct tm_error err;
    if (load(r, &err) != TM_OK)
        fail_msg("%s", err.message);
}

static size_t stored(const struct rig *r, uint8_t kind)
{
    size_t bytes = 0;
    const struct memory_table *t = &r->disk.table[STORE_PARAM];
    for (size_t i = 0; i < t->rows; i++)
        bytes += t->row[i].key.data[2] == kind ? t->row[i].value.size : 0;
    return bytes;
}

/* Of any commit, by a plain array: what the tables held. */
static void run_random(uint64_t seed, size_t chunk_bytes)
{
    struct rig r;
    static uint32_t want[VERSIONS][DOCS];
    uint64_t random = seed;
    memset(want, 0, sizeof want);
    open_rig(&r, chunk_bytes);
    for (uint32_t round = 1; round <= 300; round++) {
        uint32_t docs = DOCS * round / 300 + 1; /* a table grows while its base rolls */
        for (uint32_t n = (uint32_t)below(&random, 20); n > 0; n--) {
            uint32_t version = (uint32_t)below(&random, VERSIONS), doc = (uint32_t)below(&random, docs);
            want[version][doc] = round;
            learn(&r, version, doc, round);
        }
        commit(&r);
        if (below(&random, 100) < 15)
            load_well(&r);
        for (uint32_t v = 0; v < VERSIONS; v++)
            for (uint32_t doc = 0; doc < DOCS; doc++)
                assert_int_equal(value_of(&r, v, doc), want[v][doc]);
    }
    close_rig(&r);
}

static void test_what_was_committed_comes_back(void **state)
{
    (void)state;
    const size_t chunk_bytes[] = {1, 2 * ENTRY, 7 * ENTRY + 5, PARAM_CHUNK_BYTES};
    for (uint64_t seed = 0; seed < 12; seed++)
        run_random(seed, chunk_bytes[seed % ARRAY_LEN(chunk_bytes)]);
}

/* 20 blocks of 400 in each commit: never more of the base than a third of them and one chunk, and few deltas. */
static void test_a_commit_writes_in_proportion(void **state)
{
    (void)state;
    struct rig r;
    uint64_t random = 1;
    size_t chunk = 10 * ENTRY, written = 0, deltas;
    open_rig(&r, chunk);
    for (uint32_t doc = 0; doc < DOCS; doc++)
        learn(&r, 0, doc, 1);
    commit(&r);
    deltas = r.delta_written;
    for (uint32_t i = 0; i < 2000; i++) {
        for (int k = 0; k < 20; k++)
            learn(&r, 0, (uint32_t)below(&random, DOCS), i);
        commit(&r);
        written += r.base_written;
        deltas += r.delta_written;
        assert_in_range(r.base_written, 0, 20 * ENTRY / PARAM_ROLL + chunk + 100);
        assert_in_range(stored(&r, PARAM_DELTA), 0, PARAM_ROLL * DOCS / 10 * (chunk + chunk / 8));
    }
    assert_in_range(written, deltas / PARAM_ROLL / 2, deltas / PARAM_ROLL);
    assert_int_equal(stored(&r, PARAM_BASE), DOCS * ENTRY + DOCS / 10 * 16);
    close_rig(&r);
}

/* Ten documents, one of them learned at a time: the others of the base are not written for it, and a version that nobody
 * touches is not at all. */
static void test_what_is_idle_is_not_written(void **state)
{
    (void)state;
    struct rig r;
    uint32_t bases = 0;
    open_rig(&r, PARAM_CHUNK_BYTES);
    for (uint32_t doc = 0; doc < 10; doc++)
        for (uint32_t v = 0; v < VERSIONS; v++)
            learn(&r, v, doc, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        learn(&r, 1, i % 10, i);
        commit(&r);
        assert_in_range(r.base_written, 0, i < 500 ? VERSIONS * (10 * ENTRY + 16) : 10 * ENTRY + 16);
        bases += r.base_written > 0;
        if (i % 100 == 50)
            load_well(&r);
    }
    assert_in_range(bases, 1, 10);
    commit(&r);
    assert_int_equal(r.base_written, 0);
    close_rig(&r);
}

/* A commit that changes more than a row may hold writes several. */
static void test_a_large_commit_has_several_rows(void **state)
{
    (void)state;
    enum { MANY = 50000 };
    struct rig r;
    open_rig(&r, PARAM_CHUNK_BYTES);
    for (uint32_t doc = 0; doc < MANY; doc++)
        learn(&r, 2, doc, doc + 1);
    commit(&r);
    const struct memory_table *t = &r.disk.table[STORE_PARAM];
    for (size_t i = 0; i < t->rows; i++)
        assert_in_range(t->row[i].value.size, 1, (1 << 20) + ENTRY + 4);
    assert_true(r.params.next >= 3);
    load_well(&r);
    for (uint32_t doc = 0; doc < MANY; doc++)
        assert_int_equal(value_of(&r, 2, doc), doc + 1);
    close_rig(&r);
}

/* An export reads one version beside the others. */
static void test_one_version_can_be_read_alone(void **state)
{
    (void)state;
    struct rig r;
    struct tm_error err;
    struct param_store alone;
    open_rig(&r, 3 * ENTRY);
    for (uint32_t i = 0; i < 500; i++) {
        learn(&r, i % VERSIONS, i % 50, i + 1);
        if (i % 7 == 0)
            commit(&r);
    }
    commit(&r);
    struct store store = memory_store_face(&r.disk);
    struct table *t = table_open(BLOCK), *own = r.table[1];
    param_store_open(&alone, SHARD, r.chunk_bytes);
    param_store_add(&alone, &r.version[1], t);
    assert_int_equal(param_store_read(&alone, &store, &err), TM_OK);
    assert_int_equal(table_count(t), table_count(own));
    for (uint32_t i = 0; i < table_count(t); i++)
        assert_memory_equal(table_block(t, i), table_block(own, i), BLOCK);
    param_store_close(&alone);
    table_close(t);
    close_rig(&r);
}

/* Each row in turn is lost, or loses its last byte. */
static void test_damage_is_noticed(void **state)
{
    (void)state;
    struct rig r;
    struct tm_error err;
    open_rig(&r, 5 * ENTRY);
    for (uint32_t i = 0; i < 600; i++) {
        learn(&r, i % VERSIONS, i % 60, i + 1);
        if (i % 9 == 0)
            commit(&r);
    }
    commit(&r);
    struct memory_table *t = &r.disk.table[STORE_PARAM];
    assert_true(stored(&r, PARAM_BASE) > 0 && stored(&r, PARAM_DELTA) > 0);
    for (size_t i = 0; i < t->rows; i++) {
        struct memory_row row = t->row[i];
        t->row[i].value.size--;
        assert_int_equal(load(&r, &err), TM_DATA_LOSS);
        t->row[i].value.size++;
        memmove(t->row + i, t->row + i + 1, (t->rows - i - 1) * sizeof row);
        t->rows--;
        bool last_chunk = row.key.data[2] == PARAM_BASE && key_get_u16(t->row[i].key.data) == SHARD &&
                          memcmp(t->row[i].key.data, row.key.data, 7) != 0;
        /* Documents that only the lost chunk held are counted by the shard, which knows how many there are. */
        if (load(&r, &err) == TM_OK)
            assert_true(last_chunk && table_count(r.table[key_get_u32(row.key.data + 3) - 10]) < 60 / VERSIONS);
        memmove(t->row + i + 1, t->row + i, (t->rows - i) * sizeof row);
        t->row[i] = row;
        t->rows++;
    }
    load_well(&r);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_committed_comes_back), cmocka_unit_test(test_a_commit_writes_in_proportion),
        cmocka_unit_test(test_what_is_idle_is_not_written),   cmocka_unit_test(test_a_large_commit_has_several_rows),
        cmocka_unit_test(test_one_version_can_be_read_alone), cmocka_unit_test(test_damage_is_noticed),
    };
    return cmocka_run_group_tests_name("param_store", tests, NULL, NULL);
}
