#include "client/sample_match.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 1024 };

struct entry {
    struct hash128 key, id;
    size_t text;   /* version, request and doc, each with its NUL */
    uint64_t told; /* labels that the file tells */
    double weight_here, weight_there;
    uint64_t features_here, features_there; /* hashes */
    int64_t delay;
    uint8_t here, there; /* how many; more than 2 are 2 */
    uint32_t late;       /* the newest of the features that may have come late + 1; 0: none */
    bool has_id, told_weight, told_features;
    bool thinned; /* there it is kept with a probability below 1 */
    bool strange; /* features came late here that are told of no such record there */
};

/* Features that may come late: of one sample, and a stream. */
struct late {
    uint64_t features; /* hash */
    uint32_t next;     /* of the same sample, + 1; 0: none */
    bool came;
};

struct match {
    struct match_options options;
    struct entry *entry;
    double *label; /* of each entry: here, then there */
    size_t count, capacity;
    uint32_t *index; /* entry + 1 by key, open addressing; 0: free; twice the capacity */
    struct late *late;
    size_t lates, late_capacity;
    struct buffer text;
    bool begun, by_id, by_user, features;
    uint64_t told; /* labels, by any sample of the file */
    uint64_t strays;
    /* The new samples of the shard whose samples come, in the order of their sequences. */
    struct made {
        uint64_t sequence;
        size_t entry;
    } * made;
    size_t mades, made_capacity;
    uint32_t shard;
};

struct match *match_open(const struct match_options *options)
{
    struct match *m = mem_new(1, sizeof *m);
    m->options = *options;
    return m;
}

void match_close(struct match *m)
{
    if (!m)
        return;
    free(m->entry);
    free(m->label);
    free(m->index);
    free(m->late);
    free(m->made);
    buffer_close(&m->text);
    free(m);
}

bool match_wants_features(const struct match *m) { return m->features; }

const char *match_key_words(const struct match *m)
{
    if (m->by_id)
        return "id";
    return m->by_user ? "version, request, doc and user" : "version, request and doc";
}

/* ---- the table ---- */

/* Where the key is, or would be. */
static size_t slot_of(const struct match *m, struct hash128 key)
{
    size_t mask = 2 * m->capacity - 1, slot = key.lo & mask;
    while (m->index[slot] && !hash128_equal(m->entry[m->index[slot] - 1].key, key))
        slot = (slot + 1) & mask;
    return slot;
}

static enum tm_code check_room(const struct match *m, size_t capacity, size_t late_capacity, struct tm_error *err)
{
    size_t labels = 2 * m->options.labels * sizeof(double);
    size_t bytes = capacity * (sizeof *m->entry + labels + 2 * sizeof *m->index) + 2 * m->text.size +
                   late_capacity * sizeof *m->late;
    if (bytes <= m->options.memory_max && capacity <= UINT32_MAX / 2 && late_capacity <= UINT32_MAX / 2)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "more than %zu samples need more than %" PRIu64
                        " MiB; allow more with --memory, or compare a part, with --from and --to, or --version",
                        m->count, m->options.memory_max >> 20);
}

static enum tm_code grow(struct match *m, struct tm_error *err)
{
    size_t capacity = m->capacity ? 2 * m->capacity : FIRST_CAPACITY, labels = 2 * m->options.labels * sizeof(double);
    if (check_room(m, capacity, m->late_capacity, err) != TM_OK)
        return err->code;
    m->entry = mem_grow(m->entry, capacity, sizeof *m->entry);
    m->label = mem_grow(m->label, capacity, labels ? labels : 1);
    free(m->index);
    m->index = mem_new(2 * capacity, sizeof *m->index);
    m->capacity = capacity;
    for (size_t i = 0; i < m->count; i++)
        m->index[slot_of(m, m->entry[i].key)] = (uint32_t)i + 1;
    return TM_OK;
}

static double *labels_of(const struct match *m, const struct entry *e, bool here)
{
    return m->label + ((size_t)(e - m->entry) * 2 + !here) * m->options.labels;
}

static void put_text(struct match *m, struct bytes text)
{
    buffer_put(&m->text, text.data, text.size);
    buffer_put_u8(&m->text, 0);
}

/* What both sides call a sample. */
struct name {
    struct bytes id, version, request, doc, user;
};

static struct hash128 key_of(const struct match *m, const struct name *n)
{
    CLEANUP(buffer_close) struct buffer text = {0};
    buffer_put_bytes(&text, n->version);
    buffer_put_bytes(&text, n->request);
    buffer_put_bytes(&text, n->doc);
    if (m->by_user)
        buffer_put_bytes(&text, n->user);
    return hash_128(buffer_view(&text), 0);
}

static bool read_hex(struct bytes text, struct hash128 *out)
{
    char hex[33], again[33];
    if (text.size != 32)
        return false;
    memcpy(hex, text.data, 32);
    hex[32] = '\0';
    out->lo = strtoull(hex + 16, NULL, 16);
    hex[16] = '\0';
    out->hi = strtoull(hex, NULL, 16);
    snprintf(again, sizeof again, "%016" PRIx64 "%016" PRIx64, out->hi, out->lo);
    return memcmp(again, text.data, 32) == 0;
}

/* The entry of that name; a new one when `make`, else NULL when there is none. */
static enum tm_code find(struct match *m, const struct name *n, bool make, struct entry **out, struct tm_error *err)
{
    struct hash128 id = {0};
    bool has_id = n->id.size > 0;
    if (has_id && !read_hex(n->id, &id))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "id: got \"%.*s\"; expected 32 hex digits", (int)n->id.size,
                            (const char *)n->id.data);
    struct hash128 key = m->by_id ? id : key_of(m, n);
    if (m->count == m->capacity && grow(m, err) != TM_OK)
        return err->code;
    size_t slot = slot_of(m, key);
    *out = NULL;
    if (m->index[slot]) {
        *out = &m->entry[m->index[slot] - 1];
    } else if (make) {
        m->index[slot] = (uint32_t)++m->count;
        *out = &m->entry[m->count - 1];
        **out = (struct entry){.key = key, .text = m->text.size};
        put_text(m, n->version);
        put_text(m, n->request);
        put_text(m, n->doc);
    }
    if (*out && has_id) {
        (*out)->id = id;
        (*out)->has_id = true;
    }
    return TM_OK;
}

/* ---- both sides ---- */

static bool is_wanted(const struct match *m, struct bytes version, int64_t time)
{
    bool wanted = m->options.versions == 0;
    for (size_t i = 0; i < m->options.versions && !wanted; i++)
        wanted = bytes_equal(version, bytes_text(m->options.version[i]));
    return wanted && time >= m->options.from && time < m->options.to;
}

uint64_t match_features(struct bytes features, uint32_t encoding) { return hash_64(features) + encoding; }

static enum tm_code check_told(struct match *m, const struct told_sample *s, struct tm_error *err)
{
    bool ranged = m->options.from != INT64_MIN || m->options.to != INT64_MAX;
    if (!m->begun) {
        m->by_id = s->id.size > 0;
        m->by_user = !m->by_id && s->user.size > 0;
    }
    m->begun = true;
    if (m->by_id && s->id.size == 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "id is missing; the first sample has one");
    if (!m->by_id && (s->version.size == 0 || s->doc.size == 0))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "%s is missing; expected an id, or version, request and doc",
                            s->version.size ? "doc" : "version");
    if (ranged && !s->has_time)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "impression_time is missing; --from and --to need it");
    if (s->labels == 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "no label is told; expected \"labels\", or columns of their names");
    return TM_OK;
}

enum tm_code match_there(struct match *m, const struct told_sample *s, struct tm_error *err)
{
    uint64_t features = match_features(buffer_view(&s->features), s->encoding);
    enum tm_code rc = match_there_hashed(m, s, features, err);
    bool late = s->correction && s->features.size > 0;
    return rc == TM_OK && late ? match_there_late(m, s, features, err) : rc;
}

enum tm_code match_there_late(struct match *m, const struct told_sample *s, uint64_t features, struct tm_error *err)
{
    struct entry *e;
    enum tm_code rc = find(m, &(struct name){s->id, s->version, s->request, s->doc, s->user}, false, &e, err);
    m->features = true;
    if (rc != TM_OK || !e)
        return rc;
    if (m->lates == m->late_capacity) {
        size_t capacity = m->late_capacity ? 2 * m->late_capacity : FIRST_CAPACITY;
        if (check_room(m, m->capacity, capacity, err) != TM_OK)
            return err->code;
        m->late = mem_grow(m->late, capacity, sizeof *m->late);
        m->late_capacity = capacity;
    }
    m->late[m->lates++] = (struct late){.features = features, .next = e->late};
    e->late = (uint32_t)m->lates;
    return TM_OK;
}

enum tm_code match_there_hashed(struct match *m, const struct told_sample *s, uint64_t features, struct tm_error *err)
{
    const struct name name = {s->id, s->version, s->request, s->doc, s->user};
    struct entry *e;
    enum tm_code rc = check_told(m, s, err);
    if (rc != TM_OK || !is_wanted(m, s->version, s->has_time ? s->impression_time : m->options.from))
        return rc;
    rc = find(m, &name, !s->correction, &e, err);
    if (rc != TM_OK || !e || (s->correction && m->options.first)) {
        m->strays += rc == TM_OK && !e;
        return rc;
    }
    memcpy(labels_of(m, e, false), s->label, m->options.labels * sizeof *s->label);
    e->told = s->labels;
    m->told |= s->labels;
    e->thinned = s->keep > 0 && s->keep < 1;
    if (s->correction)
        return TM_OK;
    e->there += e->there < 2;
    e->told_weight = s->has_weight;
    e->weight_there = s->weight;
    e->told_features = s->has_features;
    e->features_there = features;
    m->features |= s->has_features;
    return TM_OK;
}

static void remember(struct match *m, const struct sample_view *s, const struct entry *e)
{
    if (s->shard != m->shard)
        m->mades = 0;
    m->shard = s->shard;
    if (m->mades == m->made_capacity) {
        m->made_capacity = m->made_capacity ? 2 * m->made_capacity : FIRST_CAPACITY;
        m->made = mem_grow(m->made, m->made_capacity, sizeof *m->made);
    }
    m->made[m->mades++] = (struct made){s->sequence, (size_t)(e - m->entry)};
}

/* What a correction corrects; NULL: it did not come. */
static struct entry *original_of(const struct match *m, const struct sample_view *s)
{
    size_t low = 0, high = s->shard == m->shard ? m->mades : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->made[middle].sequence < s->corrects)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = s->shard == m->shard && low < m->mades && m->made[low].sequence == s->corrects;
    return found ? &m->entry[m->made[low].entry] : NULL;
}

/* Is it told of the sample, and has not come before? */
static bool takes_late(const struct match *m, const struct entry *e, uint64_t features)
{
    uint32_t at = e->late;
    while (at && (m->late[at - 1].came || m->late[at - 1].features != features))
        at = m->late[at - 1].next;
    if (at)
        m->late[at - 1].came = true;
    return at != 0;
}

static void correct_here(struct match *m, const struct sample_view *s)
{
    struct entry *e = original_of(m, s);
    m->strays += !e;
    if (!e || m->options.first)
        return;
    memcpy(labels_of(m, e, true), s->label, m->options.labels * sizeof *s->label);
    if (s->features.size > 0 && !takes_late(m, e, match_features(s->features, s->encoding)))
        e->strange = true;
}

enum tm_code match_here(struct match *m, const struct sample_view *s, struct tm_error *err)
{
    const struct name name = {bytes_text(s->id), bytes_text(s->version), bytes_text(s->request), bytes_text(s->doc),
                              bytes_text(s->user)};
    struct entry *e;
    if (!is_wanted(m, name.version, s->impression_time))
        return TM_OK;
    if (s->corrects) {
        correct_here(m, s);
        return TM_OK;
    }
    enum tm_code rc = find(m, &name, true, &e, err);
    if (rc != TM_OK)
        return rc;
    remember(m, s, e);
    memcpy(labels_of(m, e, true), s->label, m->options.labels * sizeof *s->label);
    e->here += e->here < 2;
    e->weight_here = s->weight;
    e->features_here = match_features(s->features, s->encoding);
    e->delay = s->decision_time - s->impression_time;
    return TM_OK;
}

/* ---- what differs ---- */

static bool differs(double a, double b) { return !(fabs(a - b) <= MATCH_TOLERANCE * fmax(1, fabs(b))); }

static bool differs_as_float(double a, double b) { return !(fabs(a - b) <= (double)FLT_EPSILON * fmax(a, b)); }

static uint64_t reasons_of(const struct match *m, const struct entry *e)
{
    uint64_t reasons = 0;
    if (!e->there)
        return 1u << MATCH_ONLY_HERE;
    if (!e->here)
        return 1u << (e->thinned ? MATCH_LEFT_OUT : MATCH_ONLY_THERE);
    reasons |= (uint64_t)(e->here > 1) << MATCH_REPEATED_HERE | (uint64_t)(e->there > 1) << MATCH_REPEATED_THERE;
    reasons |= (uint64_t)(e->told_weight && differs_as_float(e->weight_here, e->weight_there)) << MATCH_WEIGHT;
    bool features = e->told_features && e->features_here != e->features_there;
    reasons |= (uint64_t)(features || (m->lates > 0 && e->strange)) << MATCH_FEATURES;
    for (size_t i = 0; i < m->options.labels; i++)
        if ((e->told >> i & 1) && differs(labels_of(m, e, true)[i], labels_of(m, e, false)[i]))
            reasons |= UINT64_C(1) << (MATCH_LABEL + i);
    return reasons;
}

size_t match_count(const struct match *m) { return m->count; }
uint64_t match_told(const struct match *m) { return m->told; }
uint64_t match_stray_corrections(const struct match *m) { return m->strays; }

void match_at(const struct match *m, size_t i, struct match_pair *out)
{
    const struct entry *e = &m->entry[i];
    const char *text = (const char *)m->text.data + e->text;
    *out = (struct match_pair){.reasons = reasons_of(m, e),
                               .here = e->here > 0,
                               .there = e->there > 0,
                               .has_id = e->has_id,
                               .id = e->id,
                               .label_here = labels_of(m, e, true),
                               .label_there = labels_of(m, e, false),
                               .delay = e->delay};
    out->version = text;
    out->request = text += strlen(text) + 1;
    out->doc = text += strlen(text) + 1;
}
