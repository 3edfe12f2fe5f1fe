/* fuzz_X CORPUS RUNS SEED: every file of the folder as it is, then RUNS seeded mutations of them. Equal arguments,
 * equal inputs: a failing run names its number, and the input that failed is left in fuzz_failure.bin. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

enum { INPUTS_MAX = 256, INPUT_SIZE_MAX = 1 << 16, CHANGES_MAX = 6, REPEAT_MAX = 600 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buffer inputs[INPUTS_MAX];
static int input_count;
static long run; /* number of the run under way, for the last words */
static struct bytes run_input;

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t random_below(uint64_t *state, size_t n) { return (size_t)(random_next(state) % n); }

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void corpus_load(const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, NULL, by_name);
    if (count < 0)
        stop(2, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char path[4096];
        struct tm_error err;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.') {
            CHECK(input_count < INPUTS_MAX);
            if (file_read(path, INPUT_SIZE_MAX, &inputs[input_count++], &err) != TM_OK)
                stop(2, "%s", err.message);
        }
        free(names[i]);
    }
    free(names);
    if (input_count == 0)
        stop(2, "%s: no files; expected a corpus", folder);
}

static void insert(struct buffer *b, size_t at, struct bytes v)
{
    if (b->size + v.size > INPUT_SIZE_MAX)
        return;
    buffer_reserve(b, v.size);
    memmove(b->data + at + v.size, b->data + at, b->size - at);
    memcpy(b->data + at, v.data, v.size);
    b->size += v.size;
}

static void erase(struct buffer *b, size_t at, size_t size)
{
    memmove(b->data + at, b->data + at + size, b->size - at - size);
    b->size -= size;
}

/* Bytes and texts on which readers tend to stumble. */
static struct bytes dictionary(uint64_t *state)
{
    static const struct bytes words[] = {
#define WORD(w) {(const uint8_t *)(w), sizeof(w) - 1}
        WORD("\0"),
        WORD("\x7f"),
        WORD("\x80"),
        WORD("\xff"),
        WORD("\x80\x01"),
        WORD("\xff\xff\xff\xff\x0f"),
        WORD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        WORD("\x7f\xff\xff\xff"),
        WORD("\0\0\x80\x7f"),
        WORD("\0\0\xc0\x7f"),
        WORD("\x0b"),
        WORD("\x0c"),
        WORD("\xc3\xa9"),
        WORD("\xed\xa0\x80"),
        WORD("\""),
        WORD("\\u0000"),
        WORD("{"),
        WORD("["),
        WORD("1e999"),
        WORD("-1"),
        WORD("null"),
        WORD("99999999999999999999"),
        WORD("NaN"),
        WORD(","),
        WORD("\n"),
#undef WORD
    };
    return words[random_below(state, ARRAY_LEN(words))];
}

static void mutate(struct buffer *b, uint64_t *state)
{
    size_t at = random_below(state, b->size + 1), left = b->size - at;
    const struct buffer *other = &inputs[random_below(state, (size_t)input_count)];
    uint8_t repeated[REPEAT_MAX];
    switch (random_below(state, 8)) {
    case 0: /* a bit */
        if (left)
            b->data[at] ^= (uint8_t)(1u << random_below(state, 8));
        break;
    case 1: /* a byte */
        if (left)
            b->data[at] = (uint8_t)random_next(state);
        break;
    case 2:
        if (left)
            erase(b, at, 1 + random_below(state, left < 16 ? left : 16));
        break;
    case 3: insert(b, at, dictionary(state)); break;
    case 4: /* the end */ b->size = at; break;
    case 5: /* part of another input */
        if (other->size) {
            size_t from = random_below(state, other->size);
            insert(b, at, bytes_of(other->data + from, 1 + random_below(state, other->size - from)));
        }
        break;
    case 6: /* a long run of one byte: what grows must grow */
        memset(repeated, left ? b->data[at] : 'A', sizeof repeated);
        insert(b, at, bytes_of(repeated, 1 + random_below(state, sizeof repeated)));
        break;
    default: /* one more or one less: lengths and counts */
        if (left)
            b->data[at] = (uint8_t)(b->data[at] + (random_below(state, 2) ? 1 : -1));
    }
}

static void last_words(int signal_number)
{
    FILE *f = fopen("fuzz_failure.bin", "wb");
    if (f) {
        fwrite(run_input.data, 1, run_input.size, f);
        fclose(f);
    }
    fprintf(stderr, "run %ld failed; its %zu bytes are in fuzz_failure.bin\n", run, run_input.size);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* From a block of exactly its size, so that the sanitizer sees a byte read too far. */
static void run_one(const struct buffer *input)
{
    uint8_t *exact = mem_new(input->size ? input->size : 1, 1);
    if (input->size)
        memcpy(exact, input->data, input->size);
    run_input = bytes_of(exact, input->size);
    LLVMFuzzerTestOneInput(exact, input->size);
    run++;
    free(exact);
}

int main(int argc, char **argv)
{
    struct buffer work = {0};
    uint64_t state;
    if (argc != 4)
        stop(2, "usage: %s CORPUS RUNS SEED", argv[0]);
    corpus_load(argv[1]);
    state = strtoull(argv[3], NULL, 10);
    signal(SIGABRT, last_words);
    for (int i = 0; i < input_count; i++)
        run_one(&inputs[i]);
    for (long end = run + atol(argv[2]); run < end;) {
        const struct buffer *seed = &inputs[random_below(&state, (size_t)input_count)];
        work.size = 0;
        buffer_put(&work, seed->data, seed->size);
        for (size_t changes = 1 + random_below(&state, CHANGES_MAX); changes > 0; changes--)
            mutate(&work, &state);
        run_one(&work);
    }
    printf("%ld inputs, all well\n", run);
    buffer_close(&work);
    for (int i = 0; i < input_count; i++)
        buffer_close(&inputs[i]);
    return 0;
}
