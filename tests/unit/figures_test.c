/* Tests of base/histogram.h, base/text.h, base/base64.h and base/process.h: figures, and how they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/process.h"
#include "base/text.h"

/* ---- histogram ---- */

static void bounds_are_included(void **state)
{
    static const struct {
        int64_t ns;
        unsigned bucket;
    } cases[] = {{-5, 0},      {0, 0},           {10000, 0},         {10001, 1},         {20000, 1},     {1000000, 6},
                 {1000001, 7}, {1000000000, 15}, {100000000000, 21}, {100000000001, 22}, {INT64_MAX, 22}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct histogram h = {0};
        struct histogram_copy c;
        histogram_observe(&h, cases[i].ns);
        histogram_copy(&h, &c);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            assert_int_equal(c.cumulative[b], b >= cases[i].bucket);
    }
}

static void bounds_are_named_in_seconds(void **state)
{
    (void)state;
    double before = 0;
    for (unsigned b = 0; b < HISTOGRAM_BOUNDS; b++) {
        struct histogram h = {0};
        struct histogram_copy c;
        double seconds = strtod(histogram_bound(b), NULL);
        assert_true(seconds > before);
        histogram_observe(&h, (int64_t)llround(seconds * 1e9));
        histogram_copy(&h, &c);
        assert_true(c.cumulative[b] == 1 && (b == 0 || c.cumulative[b - 1] == 0));
        before = seconds;
    }
    assert_string_equal(histogram_bound(HISTOGRAM_BOUNDS), "+Inf");
}

enum { OBSERVERS = 4, OBSERVATIONS = 20000 };

static void *observe_many(void *context)
{
    for (int i = 0; i < OBSERVATIONS; i++)
        histogram_observe(context, 1000000);
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    struct histogram h = {0};
    struct histogram_copy c;
    pthread_t threads[OBSERVERS];
    for (int i = 0; i < OBSERVERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, observe_many, &h), 0);
    for (int i = 0; i < OBSERVERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    histogram_copy(&h, &c);
    assert_int_equal(c.cumulative[HISTOGRAM_BUCKETS - 1], OBSERVERS * OBSERVATIONS);
    assert_true(fabs(c.sum_seconds - OBSERVERS * OBSERVATIONS * 1e-3) < 1e-6);
}

/* ---- text ---- */

static void numbers_read_back_as_they_were(void **state)
{
    static const struct {
        double v;
        const char *want;
    } cases[] = {{0, "0"},
                 {0.1, "0.1"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e300, "1e+300"},
                 {-2.5, "-2.5"},
                 {5e-324, "4.94065645841247e-324"},
                 {9007199254740993, "9007199254740992"}};
    (void)state;
    char text[TEXT_NUMBER_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(text_number(cases[i].v, text), cases[i].want);
    uint64_t bits = 12345;
    for (int i = 0; i < 20000; i++) {
        double v;
        float f;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&v, &bits, sizeof v);
        memcpy(&f, &bits, sizeof f);
        if (isfinite(v))
            assert_true(strtod(text_number(v, text), NULL) == v);
        if (isfinite(f))
            assert_true(strtof(text_float(f, text), NULL) == f);
    }
    assert_string_equal(text_float(0.1f, text), "0.1");
}

/* ---- base64 ---- */

static void base64_is_rfc_4648(void **state)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(buffer_close) struct buffer text = {0}, back = {0};
        buffer_put_u8(&text, '<'); /* it appends */
        buffer_put_u8(&back, '<');
        base64_encode(bytes_text(vectors[i][0]), &text);
        assert_true(text.size == 1 + strlen(vectors[i][1]) && memcmp(text.data + 1, vectors[i][1], text.size - 1) == 0);
        assert_true(base64_decode(bytes_of(text.data + 1, text.size - 1), &back));
        assert_true(back.size == 1 + strlen(vectors[i][0]) && memcmp(back.data + 1, vectors[i][0], back.size - 1) == 0);
    }
}

static void base64_is_strict(void **state)
{
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9v\n", "Zm-_"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buffer_close) struct buffer back = {0};
        assert_false(base64_decode(bytes_text(bad[i]), &back));
    }
}

/* ---- process ---- */

static void the_process_knows_itself(void **state)
{
    (void)state;
    struct process_usage p;
    double now = (double)clock_wall_ms() / 1e3;
    process_usage(&p);
    assert_true(p.start_seconds > now - 600 && p.start_seconds < now + 2);
    assert_true(p.resident_bytes > 100000 && p.virtual_bytes >= p.resident_bytes && p.threads == 1);
    assert_true(p.open_files >= 1 && p.open_files_max >= p.open_files && p.cpu_seconds >= 0);
}

static void counts_are_grouped(void **state)
{
    char text[TEXT_NUMBER_SIZE];
    (void)state;
    assert_string_equal(text_count(0, text), "0");
    assert_string_equal(text_count(999, text), "999");
    assert_string_equal(text_count(20115, text), "20,115");
    assert_string_equal(text_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

/* ---- words ---- */

static void words_are_as_far_apart_as_typing_errors(void **state)
{
    static const struct {
        const char *a, *b;
        size_t want;
    } cases[] = {{"", "", 0},       {"", "doc", 3},          {"doc", "", 3},          {"doc", "doc", 0},
                 {"dox", "doc", 1}, {"do", "doc", 1},        {"docs", "doc", 1},      {"dco", "doc", 1},
                 {"ocd", "doc", 2}, {"stauts", "status", 1}, {"ocmmti", "commit", 2}, {"kitten", "sitting", 3}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(text_distance(cases[i].a, cases[i].b), cases[i].want);
        assert_int_equal(text_distance(cases[i].b, cases[i].a), cases[i].want);
    }
}

static void of_a_long_word_the_beginning_counts(void **state)
{
    char a[2 * TEXT_DISTANCE_MAX + 1] = "", b[2 * TEXT_DISTANCE_MAX + 1] = "";
    (void)state;
    memset(a, 'x', TEXT_DISTANCE_MAX);
    memset(b, 'x', 2 * TEXT_DISTANCE_MAX);
    assert_int_equal(text_distance(a, b), 0);
    assert_int_equal(text_distance(b, a), TEXT_DISTANCE_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_grouped),
        cmocka_unit_test(words_are_as_far_apart_as_typing_errors),
        cmocka_unit_test(of_a_long_word_the_beginning_counts),
        cmocka_unit_test(the_process_knows_itself), /* before there are threads */
        cmocka_unit_test(bounds_are_included),
        cmocka_unit_test(bounds_are_named_in_seconds),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(numbers_read_back_as_they_were),
        cmocka_unit_test(base64_is_rfc_4648),
        cmocka_unit_test(base64_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
