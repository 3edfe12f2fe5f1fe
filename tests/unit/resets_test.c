/* Tests of resets: what was forgotten is known as long as anything can correct it, in bounded space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/state/parameter_reset.h"
#include "ps/state/resets.h"
#include "proto/event.h"

static struct doc_id doc(uint32_t i) { return (struct doc_id){i, 7}; }

static void add(struct resets *r, uint32_t i, uint64_t base, int64_t until, int64_t horizon)
{
    resets_doc(r, &(struct reset){doc(i), base, until}, horizon);
}

static void of_a_document_what_it_had_learned_is_cut_off(void **state)
{
    CLEANUP(resets_close) struct resets r = {0};
    (void)state;
    assert_false(resets_cut(&r, doc(1), 1));
    add(&r, 1, 10, 1000, 0);
    assert_true(resets_cut(&r, doc(1), 9));
    assert_false(resets_cut(&r, doc(1), 10));
    assert_false(resets_cut(&r, doc(2), 9));
    add(&r, 1, 20, 2000, 0); /* again: one entry, the later base */
    assert_int_equal(r.count, 1);
    assert_true(resets_cut(&r, doc(1), 19));
    resets_all(&r, 30);
    assert_int_equal(r.count, 0);
    assert_true(resets_cut(&r, doc(2), 29));
    assert_false(resets_cut(&r, doc(1), 30));
}

static void what_nothing_can_correct_is_dropped(void **state)
{
    CLEANUP(resets_close) struct resets r = {0};
    (void)state;
    add(&r, 1, 10, 1000, 0);
    add(&r, 2, 11, 1001, 1000); /* impressions before 1000 are corrected no more: those of document 1 */
    assert_int_equal(r.count, 1);
    assert_true(resets_cut(&r, doc(2), 10));
}

static void at_the_bound_too_much_is_cut_off_never_too_little(void **state)
{
    CLEANUP(resets_close) struct resets r = {0};
    (void)state;
    for (uint32_t i = 0; i < RESETS_MAX + 2; i++)
        add(&r, i, 100 + i, 5000 + i, 0);
    assert_int_equal(r.count, RESETS_MAX);
    for (uint32_t i = 0; i < RESETS_MAX + 2; i++)
        assert_true(resets_cut(&r, doc(i), 99 + i));
    assert_true(resets_cut(&r, doc(1u << 20), 100)); /* given up: of document 1, for all */
    assert_false(resets_cut(&r, doc(1u << 20), 101));
}

static void they_come_back_from_their_bytes(void **state)
{
    CLEANUP(resets_close) struct resets r = {0}, again = {0};
    CLEANUP(buffer_close) struct buffer bytes = {0}, more = {0};
    (void)state;
    resets_all(&r, 5);
    add(&r, 1, 10, 1000, 0);
    add(&r, 2, 11, 1001, 0);
    resets_encode(&r, &bytes);
    struct reader in = reader_of(buffer_view(&bytes));
    assert_int_equal(resets_decode(&again, &in, NULL), TM_OK);
    assert_int_equal(reader_left(&in), 0);
    resets_encode(&again, &more);
    assert_true(bytes_equal(buffer_view(&bytes), buffer_view(&more)));
    buffer_put_u64(&bytes, 0);
    bytes.data[8] = bytes.data[9] = 0xff;
    in = reader_of(buffer_view(&bytes));
    assert_int_equal(resets_decode(&again, &in, NULL), TM_DATA_LOSS);
}

/* ---- the record ---- */

static void count_doc(void *context, struct bytes name) { *(size_t *)context += name.size; }

static void the_largest_record_is_read_and_its_words_are_cut(void **state)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    static char name[EVENT_ID_MAX + 1];
    const char *docs[PARAMETER_RESET_DOCS_MAX];
    struct catalog c = {0};
    struct version *v = mem_new(1, sizeof *v);
    struct catalog_change change;
    size_t bytes = 0;
    (void)state;
    memset(name, 'x', EVENT_ID_MAX);
    for (size_t i = 0; i < PARAMETER_RESET_DOCS_MAX; i++)
        docs[i] = i ? name : "short";
    v->id = 3;
    c.version = mem_grow(NULL, 1, sizeof(struct version *));
    c.version[0] = v;
    c.versions = 1;
    parameter_reset_pack(&(struct parameter_reset){3, docs, PARAMETER_RESET_DOCS_MAX, {"me", "why", 42}}, &control);
    assert_int_equal(catalog_apply(&c, buffer_view(&control), &change, NULL), TM_OK);
    assert_int_equal(change.kind, CATALOG_RESET);
    assert_true(parameter_reset_visit(buffer_view(&control), count_doc, &bytes));
    assert_int_equal(bytes, 5 + 99 * EVENT_ID_MAX);
    assert_string_equal(c.audit.entry[0].what, "reset of short, ... (100 documents)");
    control.size = 0;
    parameter_reset_pack(&(struct parameter_reset){.version = 4, .note = {"", "", 0}}, &control);
    assert_int_equal(catalog_apply(&c, buffer_view(&control), &change, NULL), TM_DATA_LOSS); /* no such version */
    for (uint32_t i = 0; i < AUDIT_MAX + 3; i++) {
        control.size = 0;
        parameter_reset_pack(&(struct parameter_reset){.version = 3, .note = {"", "", i}}, &control);
        assert_int_equal(catalog_apply(&c, buffer_view(&control), &change, NULL), TM_OK);
    }
    assert_int_equal(c.audit.count, AUDIT_MAX);
    assert_int_equal(c.audit.entry[AUDIT_MAX - 1].time_ms, AUDIT_MAX + 2);
    catalog_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_document_what_it_had_learned_is_cut_off),
        cmocka_unit_test(what_nothing_can_correct_is_dropped),
        cmocka_unit_test(at_the_bound_too_much_is_cut_off_never_too_little),
        cmocka_unit_test(they_come_back_from_their_bytes),
        cmocka_unit_test(the_largest_record_is_read_and_its_words_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
