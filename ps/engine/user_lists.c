#include "ps/engine/user_lists.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/rcu.h"
#include "proto/event.h"
#include "proto/wire.h"

/* Open addressing over both lists; a standing of USER_PASSES is a free place. */
struct user_table {
    uint32_t mask;
    struct user_place {
        uint64_t id; /* the hash of it, its last two bits replaced by the standing */
    } place[];
};

enum { STANDING = 3 };

static uint64_t hash_of(const struct user_lists *u, struct bytes user)
{
    return hash_128(user, u->hash_seed).lo & ~(uint64_t)STANDING;
}

static struct user_place *place_of(struct user_table *t, uint64_t hash)
{
    uint32_t at = (uint32_t)(hash >> 32) & t->mask;
    while (t->place[at].id != 0 && (t->place[at].id & ~(uint64_t)STANDING) != hash)
        at = (at + 1) & t->mask;
    return &t->place[at];
}

enum user_standing user_lists_judge(struct user_lists *u, struct bytes user)
{
    enum user_standing standing = USER_PASSES;
    rcu_enter();
    struct user_table *t = atomic_load_explicit(&u->now, memory_order_acquire);
    if (t)
        standing = (enum user_standing)(place_of(t, hash_of(u, user))->id & STANDING);
    rcu_leave();
    return standing;
}

/* ---- reading ---- */

struct list {
    const char *path;
    struct buffer text;
    uint64_t ids;
};

static bool next_line(struct reader *r, struct bytes *line)
{
    size_t left = reader_left(r);
    if (left == 0)
        return false;
    const uint8_t *end = memchr(r->at, '\n', left);
    size_t size = end ? (size_t)(end - r->at) : left;
    *line = bytes_of(reader_take(r, size + (end != NULL)), size);
    if (size > 0 && line->data[size - 1] == '\r')
        line->size--;
    return true;
}

static enum tm_code refuse_line(const struct list *l, uint64_t number, struct bytes line, struct tm_error *err)
{
    char size[32] = "what is no UTF-8";
    if (line.size > EVENT_ID_MAX)
        snprintf(size, sizeof size, "%zu bytes", line.size);
    return tm_error_set(err, TM_INVALID_ARGUMENT, "%s:%llu: no user id: got %s; expected one of 1 to %d bytes a line",
                        l->path, (unsigned long long)number, size, EVENT_ID_MAX);
}

static enum tm_code read_list(struct list *l, struct tm_error *err)
{
    struct bytes line;
    uint64_t number = 0;
    if (l->path[0] == '\0')
        return TM_OK;
    enum tm_code rc = file_read(l->path, USER_FILE_MAX, &l->text, err);
    if (rc == TM_NOT_FOUND)
        return tm_error_set(err, rc, "%s: there is no such file", l->path);
    struct reader r = reader_of(buffer_view(&l->text));
    while (rc == TM_OK && next_line(&r, &line)) {
        number++;
        if (line.size > EVENT_ID_MAX || !wire_is_text(line))
            return refuse_line(l, number, line, err);
        l->ids += line.size > 0;
    }
    if (l->ids > USER_LIST_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: %llu ids; expected at most %d", l->path,
                            (unsigned long long)l->ids, USER_LIST_MAX);
    return rc;
}

static void add_list(const struct user_lists *u, struct user_table *t, const struct list *l,
                     enum user_standing standing)
{
    struct reader r = reader_of(buffer_view(&l->text));
    struct bytes line;
    while (next_line(&r, &line))
        if (line.size > 0) {
            uint64_t hash = hash_of(u, line);
            place_of(t, hash)->id = hash | standing;
        }
}

/* At most half full. The allowed come last, and win. */
static struct user_table *build(const struct user_lists *u, const struct list *blocked, const struct list *allowed)
{
    uint32_t places = 2;
    while (places < 2 * (blocked->ids + allowed->ids))
        places *= 2;
    struct user_table *t = mem_new(1, sizeof *t + places * sizeof t->place[0]);
    t->mask = places - 1;
    add_list(u, t, blocked, USER_BLOCKED);
    add_list(u, t, allowed, USER_ALLOWED);
    return t;
}

enum tm_code user_lists_read(const struct user_lists *u, const char *block, const char *allow,
                             struct user_lists_read *out, struct tm_error *err)
{
    *out = (struct user_lists_read){0};
    struct list blocked = {.path = block}, allowed = {.path = allow};
    enum tm_code rc = read_list(&blocked, err);
    if (rc == TM_OK)
        rc = read_list(&allowed, err);
    if (rc == TM_OK) {
        bool any = blocked.ids + allowed.ids > 0;
        *out = (struct user_lists_read){any ? build(u, &blocked, &allowed) : NULL, blocked.ids, allowed.ids};
    }
    buffer_close(&blocked.text);
    buffer_close(&allowed.text);
    return rc;
}

void user_lists_take(struct user_lists *u, struct user_lists_read *read)
{
    struct user_table *old = atomic_exchange(&u->now, read->table);
    if (old)
        rcu_retire(old);
    atomic_store(&u->blocked, read->blocked);
    atomic_store(&u->allowed, read->allowed);
    *read = (struct user_lists_read){0};
}

void user_lists_read_close(struct user_lists_read *read)
{
    free(read->table);
    *read = (struct user_lists_read){0};
}

void user_lists_close(struct user_lists *u) { free(atomic_exchange(&u->now, NULL)); }
