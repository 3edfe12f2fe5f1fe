/* ps/engine/registry.h - the versions as the doors see them, while new ones come.
 *
 *   log writer ──► catalog ──► registry_follow ──► published entries ◄── any thread: find, at, state
 *
 * A version appears when its control record comes out of the log, and stays: entries are appended, and their number is
 * published last. A struct version here is a copy that never moves or changes: one whose prior changes gets another
 * copy, and its state is one atomic value besides. So readers take no lock and wait for nobody.
 * Bounds   CATALOG_VERSIONS_MAX entries, their memory taken at once; names are found by a hash index at most half full.
 * Memory   the copies are the registry's, and live as long as it: about 1 KB for each version and each change of a
 *          prior, of which REGISTRY_CHANGES_MAX fit. Who makes more is refused beforehand (registry_changes).
 * Threads  registry_follow: one at a time. Everything else: any. */
#ifndef TIDEMILL_PS_ENGINE_REGISTRY_H
#define TIDEMILL_PS_ENGINE_REGISTRY_H

#include "ps/state/catalog.h"

enum { REGISTRY_CHANGES_MAX = 10000 }; /* of priors, since the start */

struct registry;

struct registry *registry_open(void);
void registry_close(struct registry *r); /* NULL is fine */

/* Take over what the catalog has more, or has changed. */
void registry_follow(struct registry *r, const struct catalog *c);

uint32_t registry_count(const struct registry *r);
const struct version *registry_at(const struct registry *r, uint32_t i);          /* in the order they were made */
const struct version *registry_find(const struct registry *r, struct bytes name); /* NULL: none of that name */
const struct version *registry_by_id(const struct registry *r, uint32_t id);      /* NULL: none of that id */

/* The representation that its encoder makes; NULL: it has none. Lives as long as the registry. */
const char *registry_encoder(const struct registry *r, const struct version *v);
/* Priors that were changed. */
uint32_t registry_changes(const struct registry *r);

enum version_state registry_state(const struct registry *r, const struct version *v);

#endif
