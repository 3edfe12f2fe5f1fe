/* ps/engine/yaml.h - a YAML document as a small tree that knows where everything stood. The only door to libyaml.
 *
 * Subset   one document of maps, lists and text. Anchors, aliases, tags, NUL characters and keys that are not text are
 *          refused, so a file means what it looks like and cannot grow when it is read. Nothing is guessed from the
 *          text: numbers and words are the reader's business, and so are keys given twice.
 * Bounds   YAML_DEPTH_MAX levels, YAML_NODES_MAX nodes; what is larger is refused.
 * Memory   a tree owns its nodes until yaml_tree_close(). Threads: a tree belongs to one thread at a time.
 * Errors   TM_INVALID_ARGUMENT, "line:column: what"; the tree is then empty. */
#ifndef TIDEMILL_PS_ENGINE_YAML_H
#define TIDEMILL_PS_ENGINE_YAML_H

#include "base/bytes.h"
#include "base/error.h"

enum { YAML_DEPTH_MAX = 16, YAML_NODES_MAX = 10000 };

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    uint32_t line, column;       /* from 1; columns count characters */
    const struct yaml_node *key; /* what a map calls this node; NULL elsewhere */
    struct yaml_node *first;     /* of a list or map: its first child */
    struct yaml_node *next;      /* the next child of the same parent */
    struct yaml_node *older;     /* chain of all nodes of the tree */
    char text[];                 /* "" for lists and maps */
};

struct yaml_tree {
    struct yaml_node *root; /* NULL: the document is empty */
    struct yaml_node *newest;
    uint32_t nodes;
};

enum tm_code yaml_tree_parse(struct yaml_tree *tree, struct bytes content, struct tm_error *err);
void yaml_tree_close(struct yaml_tree *tree); /* {0} is fine */

#endif
