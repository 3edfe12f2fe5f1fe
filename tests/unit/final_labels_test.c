/* ps/engine/final_labels.h: the last correction of a sample holds, and bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ps/engine/final_labels.h"

static void the_last_correction_of_a_sample_holds(void **state)
{
    enum { SHARDS = 64, SAMPLES = 200 };
    struct final_labels f = {0};
    (void)state;
    assert_null(final_labels_of(&f, 0, 1));
    for (int turn = 0; turn < 2; turn++)
        for (uint32_t shard = 0; shard < SHARDS; shard++)
            for (uint64_t i = 1; i <= SAMPLES; i += 2)
                assert_int_equal(final_labels_put(&f, shard, i, (double)(turn * shard + i), 1, NULL), TM_OK);
    assert_int_equal(f.count, SHARDS * SAMPLES / 2);
    for (uint32_t shard = 0; shard < SHARDS; shard++)
        for (uint64_t i = 1; i <= SAMPLES; i++) {
            const struct final_label *l = final_labels_of(&f, shard, i);
            assert_int_equal(l != NULL, i % 2);
            assert_true(!l || l->reward == (double)(shard + i));
        }
    final_labels_close(&f);
}

static void what_cannot_be_is_refused(void **state)
{
    struct final_labels f = {0};
    struct tm_error err;
    (void)state;
    assert_int_equal(final_labels_put(&f, 0, 0, 1, 1, &err), TM_DATA_LOSS);
    assert_int_equal(final_labels_put(&f, 0, UINT64_C(1) << 48, 1, 1, &err), TM_DATA_LOSS);
    for (uint64_t i = 1; i <= FINAL_LABELS_MAX; i++)
        assert_int_equal(final_labels_put(&f, 3, i, 1, 1, &err), TM_OK);
    assert_int_equal(final_labels_put(&f, 4, 1, 1, 1, &err), TM_RESOURCE_EXHAUSTED);
    assert_int_equal(final_labels_put(&f, 3, 1, 2, 1, &err), TM_OK); /* those that are there go on */
    assert_null(final_labels_of(&f, 4, 1));
    final_labels_close(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_correction_of_a_sample_holds),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
