/* tests/unit/golden.h - reads what another language's implementation wrote: lines of words, the first of them the kind of
 * the line. Integers are hexadecimal without 0x, doubles as "%a" writes them; lines that begin with # are comments.
 * Bounds   WORDS_MAX words and LINE_MAX_BYTES bytes a line; more fails the test. */
#ifndef TIDEMILL_TESTS_UNIT_GOLDEN_H
#define TIDEMILL_TESTS_UNIT_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

enum { WORDS_MAX = 160, LINE_MAX_BYTES = 8192 };

struct line {
    char text[LINE_MAX_BYTES];
    char *word[WORDS_MAX];
    int words;
};

static inline bool read_line(FILE *f, struct line *l)
{
    do {
        if (!fgets(l->text, sizeof l->text, f))
            return false;
    } while (l->text[0] == '#');
    l->words = 0;
    char *rest;
    for (char *w = strtok_r(l->text, " \n", &rest); w; w = strtok_r(NULL, " \n", &rest)) {
        assert_true(l->words < WORDS_MAX);
        l->word[l->words++] = w;
    }
    return true;
}

static inline uint64_t hex_word(const struct line *l, int i) { return strtoull(l->word[i], NULL, 16); }
static inline double number(const struct line *l, int i) { return strtod(l->word[i], NULL); }

static inline void assert_same_bits(double got, const struct line *l, int i)
{
    double want = number(l, i);
    if (memcmp(&got, &want, sizeof got) != 0)
        fail_msg("%s: got %a, want %a", l->word[0], got, want);
}

struct golden_kind {
    const char *name;
    int words_min;
    void (*check)(const struct line *l);
};

enum { GOLDEN_KINDS_MAX = 16 };

/* Every line by the check of its kind; every kind occurs. */
static inline void check_golden(const char *path, const struct golden_kind *kinds, size_t count)
{
    int checked[GOLDEN_KINDS_MAX] = {0};
    struct line l;
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (read_line(f, &l)) {
        size_t k = 0;
        while (k < count && strcmp(l.word[0], kinds[k].name) != 0)
            k++;
        assert_true(k < count && l.words >= kinds[k].words_min);
        kinds[k].check(&l);
        checked[k]++;
    }
    fclose(f);
    for (size_t k = 0; k < count; k++)
        assert_true(checked[k] > 0);
}

#endif
