#include "ps/engine/yaml.h"

#include <stdlib.h>
#include <yaml.h>

struct builder {
    struct yaml_tree *tree;
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at */
    struct bytes content;
    struct tm_error *err;
};

static enum tm_code refuse(struct builder *b, const char *what)
{
    yaml_mark_t mark = b->event.start_mark;
    return tm_error_set(b->err, TM_INVALID_ARGUMENT, "%zu:%zu: %s", mark.line + 1, mark.column + 1, what);
}

/* The reader of bytes tells an offset only. */
static yaml_mark_t mark_of_offset(struct bytes content, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < content.size; i++) {
        bool newline = content.data[i] == '\n';
        mark.line += newline;
        mark.column = newline ? 0 : mark.column + 1;
    }
    return mark;
}

static enum tm_code parser_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    CHECK(p->error != YAML_MEMORY_ERROR && p->problem);
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR)
        mark = mark_of_offset(b->content, p->problem_offset);
    size_t line = mark.line + 1, column = mark.column + 1;
    if (!p->context || p->context_mark.line == mark.line)
        return tm_error_set(b->err, TM_INVALID_ARGUMENT, "%zu:%zu: %s", line, column, p->problem);
    return tm_error_set(b->err, TM_INVALID_ARGUMENT, "%zu:%zu: %s, %s from line %zu", line, column, p->problem,
                        p->context, p->context_mark.line + 1);
}

static enum tm_code next_event(struct builder *b)
{
    yaml_event_delete(&b->event);
    return yaml_parser_parse(&b->parser, &b->event) ? TM_OK : parser_error(b);
}

static enum tm_code new_node(struct builder *b, enum yaml_kind kind, struct bytes text, struct yaml_node **out)
{
    struct yaml_tree *tree = b->tree;
    if (tree->nodes == YAML_NODES_MAX)
        return refuse(b, "the file holds too many items");
    struct yaml_node *node = mem_new(1, sizeof *node + text.size + 1);
    node->kind = kind;
    node->line = (uint32_t)b->event.start_mark.line + 1;
    node->column = (uint32_t)b->event.start_mark.column + 1;
    node->older = tree->newest;
    if (text.size > 0)
        memcpy(node->text, text.data, text.size);
    tree->newest = node;
    tree->nodes++;
    *out = node;
    return TM_OK;
}

static enum tm_code read_text(struct builder *b, struct yaml_node **out)
{
    struct bytes text = bytes_of(b->event.data.scalar.value, b->event.data.scalar.length);
    if (text.size > 0 && memchr(text.data, '\0', text.size))
        return refuse(b, "NUL characters are not allowed");
    return new_node(b, YAML_TEXT, text, out);
}

static enum tm_code read_node(struct builder *b, int depth, struct yaml_node **out);

/* The current event opens a map's entry: leave it at the value. */
static enum tm_code read_key(struct builder *b, struct yaml_node **key)
{
    if (b->event.type != YAML_SCALAR_EVENT && b->event.type != YAML_ALIAS_EVENT)
        return refuse(b, "a key must be text");
    enum tm_code rc = read_node(b, 0, key);
    return rc ? rc : next_event(b);
}

static enum tm_code read_children(struct builder *b, int depth, yaml_event_type_t end, struct yaml_node *parent)
{
    struct yaml_node **link = &parent->first;
    enum tm_code rc;
    while ((rc = next_event(b)) == TM_OK && b->event.type != end) {
        struct yaml_node *key = NULL;
        if (parent->kind == YAML_MAP && (rc = read_key(b, &key)) != TM_OK)
            return rc;
        rc = read_node(b, depth + 1, link);
        if (rc)
            return rc;
        (*link)->key = key;
        link = &(*link)->next;
    }
    return rc;
}

/* Names and types that YAML could attach to the current node. */
static bool is_decorated(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT: return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default: return e->type == YAML_ALIAS_EVENT;
    }
}

static enum tm_code read_node(struct builder *b, int depth, struct yaml_node **out)
{
    if (is_decorated(&b->event))
        return refuse(b, "anchors, aliases and tags are not allowed");
    if (b->event.type == YAML_SCALAR_EVENT)
        return read_text(b, out);
    if (depth == YAML_DEPTH_MAX)
        return refuse(b, "nested too deeply");
    bool map = b->event.type == YAML_MAPPING_START_EVENT;
    enum tm_code rc = new_node(b, map ? YAML_MAP : YAML_LIST, (struct bytes){0}, out);
    if (rc)
        return rc;
    return read_children(b, depth, map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT, *out);
}

static enum tm_code read_document(struct builder *b)
{
    enum tm_code rc = next_event(b); /* the stream starts */
    if (rc == TM_OK)
        rc = next_event(b);
    if (rc || b->event.type == YAML_STREAM_END_EVENT)
        return rc;
    rc = next_event(b); /* behind the document's start */
    if (rc == TM_OK)
        rc = read_node(b, 0, &b->tree->root);
    if (rc == TM_OK)
        rc = next_event(b); /* the document's end */
    if (rc == TM_OK)
        rc = next_event(b);
    if (rc == TM_OK && b->event.type != YAML_STREAM_END_EVENT)
        return refuse(b, "a second document; expected one");
    return rc;
}

enum tm_code yaml_tree_parse(struct yaml_tree *tree, struct bytes content, struct tm_error *err)
{
    struct builder b = {.tree = tree, .content = content, .err = err};
    *tree = (struct yaml_tree){0};
    CHECK(yaml_parser_initialize(&b.parser));
    yaml_parser_set_input_string(&b.parser, content.data ? content.data : (const unsigned char *)"", content.size);
    enum tm_code rc = read_document(&b);
    yaml_event_delete(&b.event);
    yaml_parser_delete(&b.parser);
    if (rc)
        yaml_tree_close(tree);
    return rc;
}

void yaml_tree_close(struct yaml_tree *tree)
{
    struct yaml_node *node = tree->newest;
    while (node) {
        struct yaml_node *older = node->older;
        free(node);
        node = older;
    }
    *tree = (struct yaml_tree){0};
}
