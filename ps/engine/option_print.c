#include "ps/engine/option_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/units.h"

/* Plain where that cannot be mistaken, else in double quotes. */
static void print_text(const struct option_row *row, const void *owner, struct buffer *out)
{
    const char *text = (const char *)owner + row->offset;
    size_t size = strlen(text);
    bool plain = size > 0 && text[0] != '-' && text[size - 1] != ':' &&
                 strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:-") == size;
    if (plain) {
        buffer_put(out, text, size);
        return;
    }
    buffer_put_u8(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_put_u8(out, '\\');
        buffer_put_u8(out, (uint8_t)*text);
    }
    buffer_put_u8(out, '"');
}

static void print_count(const struct option_row *row, const void *owner, struct buffer *out)
{
    buffer_print(out, "%" PRIu32, *(const uint32_t *)((const char *)owner + row->offset));
}

static void print_number(const struct option_row *row, const void *owner, struct buffer *out)
{
    char text[TEXT_NUMBER_SIZE];
    buffer_print(out, "%s", text_number(*(const double *)(const void *)((const char *)owner + row->offset), text));
}

static void print_duration(const struct option_row *row, const void *owner, struct buffer *out)
{
    char text[UNITS_TEXT_SIZE];
    buffer_print(out, "%s", duration_text(*(const int64_t *)((const char *)owner + row->offset), text));
}

static void print_size(const struct option_row *row, const void *owner, struct buffer *out)
{
    char text[UNITS_TEXT_SIZE];
    buffer_print(out, "%s", size_text(*(const uint64_t *)((const char *)owner + row->offset), text));
}

static void print_flag(const struct option_row *row, const void *owner, struct buffer *out)
{
    buffer_print(out, "%s", *(const bool *)((const char *)owner + row->offset) ? "true" : "false");
}

static void print_kind(const struct option_row *row, const void *owner, struct buffer *out)
{
    enum option_stream_kind kind = *(const enum option_stream_kind *)((const char *)owner + row->offset);
    buffer_print(out, "%s", option_choice_word(OPTION_KIND, kind));
}

static void print_attribute(const struct option_row *row, const void *owner, struct buffer *out)
{
    enum option_attribute attribute = *(const enum option_attribute *)((const char *)owner + row->offset);
    buffer_print(out, "%s", option_choice_word(OPTION_ATTRIBUTE, attribute));
}

static void print_aggregate(const struct option_row *row, const void *owner, struct buffer *out)
{
    enum label_aggregate aggregate = *(const enum label_aggregate *)((const char *)owner + row->offset);
    buffer_print(out, "%s", option_choice_word(OPTION_AGGREGATE, aggregate));
}

static void print_bound(const struct option_row *row, const void *owner, struct buffer *out)
{
    char text[TEXT_NUMBER_SIZE];
    const struct label_bound *bound = (const void *)((const char *)owner + row->offset);
    buffer_print(out, "%s", text_number(bound->value, text));
}

/* A word that stands in its row's type as a number. */
static void print_word(const struct option_row *row, const void *owner, struct buffer *out)
{
    uint32_t value = *(const uint32_t *)(const void *)((const char *)owner + row->offset);
    buffer_print(out, "%s", option_choice_word(row->type, value));
}

static void print_switch(const struct option_row *row, const void *owner, struct buffer *out)
{
    buffer_print(out, "%s", option_choice_word(OPTION_SWITCH, *((const bool *)owner + row->offset)));
}

static void print_key_fields(const struct option_row *row, const void *owner, struct buffer *out)
{
    uint32_t fields = *(const uint32_t *)((const char *)owner + row->offset);
    const char *before = "[";
    for (uint32_t bit = KEY_REQUEST; bit <= KEY_DOC; bit <<= 1) {
        if (!(fields & bit))
            continue;
        buffer_print(out, "%s%s", before, option_choice_word(OPTION_KEY_FIELDS, bit));
        before = ", ";
    }
    buffer_print(out, "]");
}

static void print_prior(const struct option_row *row, const void *owner, struct buffer *out)
{
    const struct version_options *version = owner;
    char text[TEXT_NUMBER_SIZE];
    (void)row;
    buffer_print(out, "[");
    for (uint32_t i = 0; i < version->prior_count; i++)
        buffer_print(out, "%s%s", i ? ", " : "", text_number(version->prior[i], text));
    buffer_print(out, "]");
}

static void print_samples_from(const struct option_row *row, const void *owner, struct buffer *out)
{
    const struct version_options *version = owner;
    struct option_row name = {.offset = row->offset};
    buffer_print(out, "[");
    for (uint32_t i = 0; i < version->samples_from_count; i++, name.offset += sizeof version->samples_from[0]) {
        buffer_print(out, "%s", i ? ", " : "");
        print_text(&name, owner, out);
    }
    buffer_print(out, "]");
}

typedef void print_fn(const struct option_row *row, const void *owner, struct buffer *out);

static print_fn *const printers[OPTION_TYPES] = {
    [OPTION_PATH] = print_text,
    [OPTION_FILE] = print_text,
    [OPTION_ADDRESS] = print_text,
    [OPTION_SWITCHABLE] = print_text,
    [OPTION_COUNT] = print_count,
    [OPTION_DURATION] = print_duration,
    [OPTION_SIZE] = print_size,
    [OPTION_NUMBER] = print_number,
    [OPTION_FLAG] = print_flag,
    [OPTION_SWITCH] = print_switch,
    [OPTION_NAME] = print_text,
    [OPTION_MODEL] = print_text,
    [OPTION_REWARD] = print_text,
    [OPTION_KIND] = print_kind,
    [OPTION_AGGREGATE] = print_aggregate,
    [OPTION_BOUND] = print_bound,
    [OPTION_COVARIANCE] = print_word,
    [OPTION_UNIT] = print_word,
    [OPTION_POLICY] = print_word,
    [OPTION_FIELD] = print_word,
    [OPTION_ACTION] = print_word,
    [OPTION_CHANGE] = print_word,
    [OPTION_LOOK] = print_word,
    [OPTION_VERDICT] = print_word,
    [OPTION_ORDER] = print_word,
    [OPTION_KEY_FIELDS] = print_key_fields,
    [OPTION_ATTRIBUTE] = print_attribute,
    [OPTION_PRIOR] = print_prior,
    [OPTION_SAMPLES_FROM] = print_samples_from,
};

void option_print(const struct option_row *row, const void *owner, struct buffer *out)
{
    CHECK(printers[row->type]);
    printers[row->type](row, owner, out);
}
