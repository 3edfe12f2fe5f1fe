#include <stdio.h>

#include "ps/engine/version_model.h"

/* Fields of one kind of stream or model stay away from the others, which would refuse them. */
static bool is_shown(const struct option_list *list, const struct option_row *row, const void *item)
{
    const struct stream_options *stream = item;
    if (row->type == OPTION_UNAVAILABLE)
        return false;
    if (row->type == OPTION_BOUND)
        return ((const struct label_bound *)(const void *)((const char *)item + row->offset))->given;
    if (row->type == OPTION_NAME && row->derived && !*((const char *)item + row->offset))
        return false;
    if (list->items == offsetof(struct options, version))
        return version_model_has(item, row);
    if (list->items != offsetof(struct options, stream))
        return true;
    if (row->offset == offsetof(struct stream_options, within_ms))
        return stream->kind == STREAM_ACTION || stream->within_given;
    if (row->offset == offsetof(struct stream_options, before_ms))
        return stream->kind == STREAM_ACTION || stream->before_ms;
    if (row->offset == offsetof(struct stream_options, required))
        return stream->kind == STREAM_FEATURES || stream->required;
    if (row->offset == offsetof(struct stream_options, dimension))
        return stream->dimension != 0;
    if (row->offset == offsetof(struct stream_options, payload_only))
        return stream->kind == STREAM_TABLE || stream->payload_only;
    if (row->offset == offsetof(struct stream_options, key_fields))
        return stream->key_fields != 0;
    if (row->offset == offsetof(struct stream_options, attribute))
        return stream->attribute != ATTRIBUTE_DEFAULT;
    return true;
}

/* "batch.samples" and those of the same word in front of the dot, one behind the other, are one map. */
static void show_item(const struct option_list *list, const void *item, struct buffer *out)
{
    const char *before = "  - { ", *open = "";
    size_t size = 0; /* of the word that is open */
    for (size_t r = 0; r < list->row_count; r++) {
        const struct option_row *row = &list->rows[r];
        const char *dot = strchr(row->key, '.');
        size_t word = dot ? (size_t)(dot - row->key) : 0;
        if (!is_shown(list, row, item))
            continue;
        bool goes_on = word > 0 && word == size && strncmp(row->key, open, word) == 0;
        buffer_print(out, "%s%s", size > 0 && !goes_on ? " }" : "", before);
        if (word > 0 && !goes_on)
            buffer_print(out, "%.*s: { ", (int)word, row->key);
        buffer_print(out, "%s: ", dot ? dot + 1 : row->key);
        option_print(row, item, out);
        before = ", ";
        open = row->key;
        size = word;
    }
    buffer_print(out, "%s }\n", size > 0 ? " }" : "");
}

static void show_list(const struct options *o, const struct option_list *list, struct buffer *out)
{
    uint32_t count = *option_item_count(list, o);
    buffer_print(out, count ? "%s:\n" : "%s: []\n", list->key);
    for (uint32_t i = 0; i < count; i++) {
        show_item(list, option_item(list, o, i), out);
    }
}

void options_show(const struct options *o, struct buffer *out)
{
    size_t shown = 0; /* bytes of the section's name whose options are being written */
    const char *section = "";
    for (size_t i = 0; i < option_scalar_count; i++) {
        const struct option_row *row = &option_scalars[i];
        const char *dot = strchr(row->key, '.');
        size_t size = dot ? (size_t)(dot - row->key) : 0;
        if (row->type == OPTION_UNAVAILABLE)
            continue;
        if (size > 0 && (size != shown || strncmp(row->key, section, size) != 0))
            buffer_print(out, "%.*s:\n", (int)size, row->key);
        shown = size;
        section = row->key;
        buffer_print(out, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : row->key);
        option_print(row, o, out);
        buffer_print(out, "\n");
    }
    for (size_t i = 0; i < OPTION_LISTS; i++)
        show_list(o, &option_lists[i], out);
}

static void describe_default(const struct option_row *row, struct buffer *out)
{
    if (row->preset && option_type_is_list(row->type))
        buffer_print(out, "`[%s]`", row->preset);
    else if (row->preset)
        buffer_print(out, "`%s`", row->preset);
    else
        buffer_print(out, "%s", row->derived ? row->derived : "must be given");
}

static void describe_row(const struct option_row *row, struct buffer *out)
{
    buffer_print(out, "| `%s` | %s | ", row->key, option_type_word(row->type));
    describe_default(row, out);
    if (row->min)
        buffer_print(out, " | `%s` to `%s`", row->min, row->max);
    else
        buffer_print(out, " | ");
    buffer_print(out, " | %s |\n", row->help);
}

static void describe_unavailable(const char *prefix, const struct option_row *rows, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].type == OPTION_UNAVAILABLE)
            buffer_print(out, "- `%s%s`\n", prefix, rows[i].key);
}

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Printed from the option table by options_reference(); a test compares. Do not edit by hand. -->\n"
    "\n"
    "One YAML file. A flag wins over an environment variable, that over the file, that over the default. What the\n"
    "file calls `commit.interval` is `--commit-interval` as a flag and `TIDEMILL_COMMIT_INTERVAL` in the environment.\n"
    "Lists (streams, labels, versions...) can only be given in the file.\n"
    "\n"
    "Durations are a whole number with its unit (`ms`, `s`, `m`, `h`, `d`), sizes too (`B`, `KiB`, `MiB`, `GiB`,\n"
    "`TiB`); a bare number is refused, but for `0`. The file has at most 1 MiB. Anchors, aliases, tags, keys given\n"
    "twice and a second document are refused. All problems are told at once, with file, line and column.\n"
    "\n"
    "```yaml\n"
    "data: ./tidemill-data\n"
    "listen: 127.0.0.1:7070\n"
    "join: { key: [request, doc], window: 60s, allowed_lateness: 24h }\n"
    "streams:\n"
    "  - { name: impressions, kind: impression }\n"
    "  - { name: clicks, kind: action }\n"
    "labels:\n"
    "  - { name: click, stream: clicks, aggregate: exists }\n"
    "versions:\n"
    "  - { name: A, model: beta, prior: [1, 20], half_life: 14d, reward: click }\n"
    "```\n";

static void describe_table(const struct option_row *rows, size_t count, struct buffer *out)
{
    buffer_print(out, "\n| key | type | default | range | what it does |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++)
        if (rows[i].type != OPTION_UNAVAILABLE)
            describe_row(&rows[i], out);
}

void options_reference(struct buffer *out)
{
    buffer_put(out, introduction, sizeof introduction - 1);
    buffer_print(out, "\n## Options\n");
    describe_table(option_scalars, option_scalar_count, out);
    for (size_t i = 0; i < OPTION_LISTS; i++) {
        const struct option_list *list = &option_lists[i];
        buffer_print(out, "\n## %s\n\n%s At most %zu. Names are 1 to %d of `[A-Za-z0-9._-]`.\n", list->key, list->help,
                     list->max, OPTION_NAME_MAX);
        describe_table(list->rows, list->row_count, out);
    }
    buffer_print(out, "\n## Not available in this version\n\n"
                      "These keys are refused, so that nobody believes they work:\n\n");
    describe_unavailable("", option_scalars, option_scalar_count, out);
    for (size_t i = 0; i < OPTION_LISTS; i++) {
        char prefix[OPTION_KEY_SIZE];
        snprintf(prefix, sizeof prefix, "%s[].", option_lists[i].key);
        describe_unavailable(prefix, option_lists[i].rows, option_lists[i].row_count, out);
    }
}
