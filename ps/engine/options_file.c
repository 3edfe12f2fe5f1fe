#include <stdio.h>

#include "base/file.h"
#include "ps/engine/option_table.h"
#include "ps/engine/yaml.h"

struct reading {
    const char *path;
    struct options *o;
    struct option_problems *problems;
};

static struct option_place place_of(const struct yaml_node *node)
{
    return (struct option_place){node->line, node->column};
}

/* What a value looks like in a message. */
static const char *node_shown(const struct yaml_node *node, char buf[static OPTION_SHOWN_SIZE])
{
    if (node->kind == YAML_TEXT)
        return option_shown(node->text, buf);
    return node->kind == YAML_LIST ? "a list" : "a map";
}

static void wrong_kind(struct reading *r, const struct yaml_node *node, const char *key, const char *expected)
{
    char shown[OPTION_SHOWN_SIZE];
    struct option_place place = place_of(node);
    option_problem(r->problems, r->path, &place, "%s: got %s; expected %s", key, node_shown(node, shown), expected);
}

/* Keys are told in full, but never longer than any key we have. */
static void key_join(char key[static OPTION_KEY_SIZE], const char *prefix, const char *name)
{
    char shown[OPTION_SHOWN_SIZE];
    snprintf(key, OPTION_KEY_SIZE, "%.40s%s%s", prefix, *prefix ? "." : "", option_shown(name, shown));
}

/* An entry whose key the map had before is told, and not read. */
static bool given_before(struct reading *r, const struct yaml_node *map, const struct yaml_node *entry, const char *key)
{
    for (const struct yaml_node *other = map->first; other != entry; other = other->next) {
        if (strcmp(other->key->text, entry->key->text) != 0)
            continue;
        struct option_place place = place_of(entry->key);
        option_problem(r->problems, r->path, &place, "%s: given twice; the first is on line %u", key, other->key->line);
        return true;
    }
    return false;
}

static void unknown_key(struct reading *r, const struct yaml_node *entry, const char *key,
                        const struct option_guess *guess)
{
    char hint[OPTION_HINT_SIZE];
    struct option_place place = place_of(entry->key);
    option_problem(r->problems, r->path, &place, "%s: unknown key; %s", key, option_guess_hint(guess, hint));
}

/* A list's text is "a, b". False: it holds something that is not plain text. */
static bool list_text(const struct yaml_node *list, struct buffer *out)
{
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        if (item->kind != YAML_TEXT || strchr(item->text, ','))
            return false;
        buffer_print(out, "%s%s", item == list->first ? "" : ", ", item->text);
    }
    buffer_put_u8(out, '\0');
    return true;
}

static void parse_value(struct reading *r, const struct option_row *row, void *owner, const struct yaml_node *node,
                        const char *text, const char *key)
{
    struct tm_error err;
    struct option_place place = place_of(node);
    if (option_parse(row, owner, text, &err))
        option_problem(r->problems, r->path, &place, "%s: %s", key, err.message);
}

static void read_value(struct reading *r, const struct option_row *row, void *owner, const struct yaml_node *node,
                       const char *key)
{
    char expected[OPTION_EXPECTED_SIZE];
    struct option_place place = place_of(node->key);
    CLEANUP(buffer_close) struct buffer text = {0};
    if (row->type == OPTION_UNAVAILABLE)
        option_problem(r->problems, r->path, &place, "%s is not available in this version", key);
    else if (!option_type_is_list(row->type) && node->kind == YAML_TEXT)
        parse_value(r, row, owner, node, node->text, key);
    else if (option_type_is_list(row->type) && node->kind == YAML_LIST && list_text(node, &text))
        parse_value(r, row, owner, node, (const char *)text.data, key);
    else
        wrong_kind(r, node, key, option_expected(row, expected));
}

/* Of a key under prefix, the next word: "commit" of "commit.interval". Empty: the key is not under it. */
static struct bytes next_word(const char *key, const char *prefix)
{
    size_t size = strlen(prefix);
    if (size > 0 && (strncmp(key, prefix, size) != 0 || key[size++] != '.'))
        return (struct bytes){0};
    return bytes_of(key + size, strcspn(key + size, "."));
}

static const struct option_row *field_find(const struct option_list *list, const char *key)
{
    for (size_t i = 0; i < list->row_count; i++)
        if (strcmp(list->rows[i].key, key) == 0)
            return &list->rows[i];
    return NULL;
}

/* parts: the map of the item that it is in, "batch"; "": the item itself. */
static void unknown_field(struct reading *r, const struct option_list *list, const struct yaml_node *entry,
                          const char *parts, const char *key)
{
    struct option_guess guess = {.wanted = entry->key->text};
    for (size_t i = 0; i < list->row_count; i++) {
        struct bytes word = next_word(list->rows[i].key, parts);
        if (list->rows[i].type != OPTION_UNAVAILABLE && word.size > 0)
            option_guess_offer(&guess, (const char *)word.data, word.size);
    }
    unknown_key(r, entry, key, &guess);
}

static bool has_key(const struct yaml_node *map, const char *key)
{
    for (const struct yaml_node *entry = map->first; entry; entry = entry->next)
        if (strcmp(entry->key->text, key) == 0)
            return true;
    return false;
}

/* Presets of what the item leaves open; what has none must be there. */
static void fill_item(struct reading *r, const struct option_list *list, const struct yaml_node *map, void *item,
                      const char *prefix)
{
    struct option_place place = place_of(map);
    for (size_t i = 0; i < list->row_count; i++) {
        const struct option_row *row = &list->rows[i];
        char expected[OPTION_EXPECTED_SIZE];
        if (row->preset)
            CHECK(option_parse(row, item, row->preset, NULL) == TM_OK);
        else if (!row->derived && row->type != OPTION_UNAVAILABLE && !has_key(map, row->key))
            option_problem(r->problems, r->path, &place, "%s.%s: missing; expected %s", prefix, row->key,
                           option_expected(row, expected));
    }
}

/* Are there fields under this key? */
static bool has_parts(const struct option_list *list, const char *key)
{
    size_t size = strlen(key);
    for (size_t i = 0; i < list->row_count; i++)
        if (strncmp(list->rows[i].key, key, size) == 0 && list->rows[i].key[size] == '.')
            return true;
    return false;
}

/* parts: as in unknown_field(). */
static void read_field(struct reading *r, const struct option_list *list, const struct yaml_node *entry, void *item,
                       const char *parts, const char *key)
{
    char name[OPTION_KEY_SIZE];
    key_join(name, parts, entry->key->text);
    const struct option_row *row = field_find(list, name);
    if (row)
        read_value(r, row, item, entry, key);
    else
        unknown_field(r, list, entry, parts, key);
}

/* "batch: { samples: 100 }" is "batch.samples: 100". */
static void read_parts(struct reading *r, const struct option_list *list, const struct yaml_node *parts, void *item,
                       const char *prefix)
{
    if (parts->kind != YAML_MAP) {
        wrong_kind(r, parts, prefix, "a map such as { samples: 100 }");
        return;
    }
    for (const struct yaml_node *entry = parts->first; entry; entry = entry->next) {
        char key[OPTION_KEY_SIZE];
        key_join(key, prefix, entry->key->text);
        if (!given_before(r, parts, entry, key))
            read_field(r, list, entry, item, parts->key->text, key);
    }
}

static void read_item(struct reading *r, const struct option_list *list, const struct yaml_node *map, void *item,
                      uint32_t index)
{
    char prefix[OPTION_KEY_SIZE], key[OPTION_KEY_SIZE];
    snprintf(prefix, sizeof prefix, "%s[%u]", list->key, index);
    memset(item, 0, list->item_size);
    *(struct option_place *)item = place_of(map);
    if (map->kind != YAML_MAP) {
        wrong_kind(r, map, prefix, "a map such as { name: ... }");
        return;
    }
    fill_item(r, list, map, item, prefix);
    for (const struct yaml_node *entry = map->first; entry; entry = entry->next) {
        key_join(key, prefix, entry->key->text);
        if (given_before(r, map, entry, key))
            continue;
        if (has_parts(list, entry->key->text))
            read_parts(r, list, entry, item, key);
        else
            read_field(r, list, entry, item, "", key);
    }
}

/* A list of the file replaces the whole list. */
static void read_list(struct reading *r, const struct option_list *list, const struct yaml_node *node)
{
    uint32_t count = 0;
    if (node->kind != YAML_LIST) {
        wrong_kind(r, node, list->key, "a list");
        return;
    }
    for (const struct yaml_node *item = node->first; item; item = item->next, count++) {
        if (count == list->max) {
            struct option_place place = place_of(item);
            option_problem(r->problems, r->path, &place, "%s: got more; expected at most %zu", list->key, list->max);
            break;
        }
        read_item(r, list, item, option_item(list, r->o, count), count);
        if (list->items == offsetof(struct options, stream))
            r->o->stream[count].within_given = item->kind == YAML_MAP && has_key(item, "within");
    }
    *option_item_count(list, r->o) = count;
}

/* Are there options under this key? */
static bool is_section(const char *key)
{
    for (size_t i = 0; i < option_scalar_count; i++)
        if (next_word(option_scalars[i].key, key).size > 0)
            return true;
    return false;
}

static void unknown_option(struct reading *r, const struct yaml_node *entry, const char *prefix, const char *key)
{
    struct option_guess guess = {.wanted = entry->key->text};
    for (size_t i = 0; i < option_scalar_count; i++) {
        struct bytes word = next_word(option_scalars[i].key, prefix);
        if (word.size > 0 && option_scalars[i].type != OPTION_UNAVAILABLE)
            option_guess_offer(&guess, (const char *)word.data, word.size);
    }
    for (size_t i = 0; *prefix == '\0' && i < OPTION_LISTS; i++)
        option_guess_offer(&guess, option_lists[i].key, strlen(option_lists[i].key));
    unknown_key(r, entry, key, &guess);
}

static void read_section(struct reading *r, const struct yaml_node *map, const char *prefix);

static void read_option(struct reading *r, const struct yaml_node *entry, const char *prefix, const char *key)
{
    const struct option_row *row = option_scalar_find(key);
    const struct option_list *list = option_list_find(key);
    if (strchr(entry->key->text, '.')) /* "commit.interval: 1s": one way to write a key is enough */
        unknown_option(r, entry, prefix, key);
    else if (row)
        read_value(r, row, r->o, entry, key);
    else if (list)
        read_list(r, list, entry);
    else if (is_section(key) && entry->kind == YAML_MAP)
        read_section(r, entry, key);
    else if (is_section(key))
        wrong_kind(r, entry, key, "a map");
    else
        unknown_option(r, entry, prefix, key);
}

/* prefix: the section's key, "" for the whole file. */
static void read_section(struct reading *r, const struct yaml_node *map, const char *prefix)
{
    char key[OPTION_KEY_SIZE];
    for (const struct yaml_node *entry = map->first; entry; entry = entry->next) {
        key_join(key, prefix, entry->key->text);
        if (!given_before(r, map, entry, key))
            read_option(r, entry, prefix, key);
    }
}

void options_read_file(struct options *o, const char *path, struct option_problems *problems)
{
    struct reading r = {path, o, problems};
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer content = {0};
    CLEANUP(yaml_tree_close) struct yaml_tree tree = {0};
    if (file_read(path, OPTION_FILE_MAX, &content, &err)) {
        option_problem(problems, NULL, NULL, "%s", err.message);
        return;
    }
    if (yaml_tree_parse(&tree, buffer_view(&content), &err)) {
        option_problem(problems, NULL, NULL, "%s:%s", path, err.message);
        return;
    }
    if (!tree.root || (tree.root->kind == YAML_TEXT && tree.root->text[0] == '\0'))
        return; /* an empty file changes nothing */
    if (tree.root->kind == YAML_MAP)
        read_section(&r, tree.root, "");
    else
        wrong_kind(&r, tree.root, "the file", "a map of options");
    option_derive(o);
}
