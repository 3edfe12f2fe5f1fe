/* tests/simulation/oracle.h - the truth, told naively: what every shard must make of a sequence of blocks.
 *
 * Written from the specification alone (joiner/joiner.h, docs): records lie in an array, every rule is a loop over
 * it, keys and event ids are compared as text. No index, no horizon kept, nothing forgotten, nothing shared with the
 * code under test but the parsers of blocks, events and control records.
 * Where the specification leaves the order of two reasons open, this order holds: version mismatch, late, duplicate,
 * too many actions; an action is measured against those that count or wait at that moment. Corrections that are due
 * at a decision come in the order of the actions' (time, position). Labels are computed anew from all matched actions,
 * each time.
 * Memory   the oracle owns all it returns. */
#ifndef TIDEMILL_TESTS_SIMULATION_ORACLE_H
#define TIDEMILL_TESTS_SIMULATION_ORACLE_H

#include "ps/state/block.h"
#include "ps/state/catalog.h"
#include "tests/simulation/lessons.h"

enum oracle_fate {
    FATE_WAITING,
    FATE_MATCHED,
    FATE_LATE,
    FATE_ORPHANED,
    FATE_DUPLICATE,
    FATE_FILTERED,
    FATE_SHED,
    FATE_APPLIED
};

#define NOBODY UINT32_MAX

struct oracle_record {
    uint64_t position;
    int64_t time;
    uint32_t version;
    uint8_t stream;
    double weight, value;
    bool withdraw; /* the action of its stream and impression that has its id */
    char key[48], id[96], doc[16], request[16], user_id[16];
    struct bytes wire, shared; /* of an item its own part, and what it has in common with others */
    size_t shared_counts;      /* bytes of the latter that it counts for */
    struct hash128 key_hash, doc_hash;
    enum oracle_fate fate;
    enum joiner_reason reason;  /* why it was set aside */
    enum joiner_reason refused; /* why a version could not learn the sample that it made, which sets it aside, too */
    uint32_t impression;        /* of a matched action or feature record: its index */
    uint32_t epoch;             /* impressions: in which they came */
    uint32_t action_keys;       /* impressions: of these, the first ones, they are known by */
    bool decided, forgotten;    /* impressions; attributed actions and their withdrawals are forgotten, too */
    bool met;                   /* it has matched, even if it was shed with its impression later */
    bool has_place, has_value, has_weight;
    int32_t place;
    uint64_t user;                   /* hash */
    struct sampling_lot lot;         /* impressions: as drawn when it came */
    double keep;                     /* impressions that are decided: of their sample; 0: it was left out */
    bool was_left_out;               /* impressions: a negative of which no sample was made at first */
    struct lesson_features features; /* impressions that are decided: as they are now */
    uint64_t decided_here;           /* the story was there */
    bool behind;                     /* rows of tables: the gate had passed it */
    bool on_arrival;                 /* impressions: it was decided as it came, because the gate had passed it */
    uint32_t crowded_out;            /* impressions: bits of the key fields under which 32 are newer */
    bool withdrawn;                  /* attributed actions */
    uint32_t shares, settled_at;     /* and how many had it when the first of them was forgotten: records before it */
    uint64_t sequence;
    double labels[JOINER_LABELS_MAX]; /* of impressions: as they were told last */
    bool excluded;                    /* the same */
};

struct oracle_shard {
    struct oracle_record *record;
    uint32_t records;
    uint64_t crowded_out[JOINER_STREAMS_MAX]; /* impressions, as the counters of their streams say */
    uint64_t given_up;                        /* impressions */
    int64_t least_gate, least_expiry;         /* they do not go back behind what they were when an epoch began */
    int64_t told_at;                          /* decided_at of the newest sample */
    int64_t ahead;          /* behind the newest impression that was decided before its gate; WATERMARK_NONE */
    int64_t gone;           /* in front of it everything was given up; WATERMARK_NONE: nothing */
    struct lessons lessons; /* its samples, and what becomes of them */
};

struct oracle;

struct oracle *oracle_open(uint32_t shards, uint64_t hash_seed);
void oracle_close(struct oracle *o);

/* Why it is a dead letter; REASON_NONE: it is none. */
static inline enum joiner_reason oracle_letter(const struct oracle_record *r)
{
    return r->reason ? r->reason : r->refused;
}

/* The block's bytes must outlive the oracle. */
void oracle_block(struct oracle *o, const struct block *b);

const struct oracle_shard *oracle_shard(const struct oracle *o, uint32_t shard);
const struct catalog *oracle_catalog(const struct oracle *o);
const int64_t *oracle_watermarks(const struct oracle *o);
struct stream_counts oracle_counts(const struct oracle *o, uint32_t shard, uint32_t stream);
struct delays oracle_delays(const struct oracle *o, uint32_t shard, uint32_t stream);
int64_t oracle_gate(const struct oracle *o, uint32_t shard); /* event time decided; WATERMARK_NONE */
bool oracle_behind(const struct oracle *o);                  /* some shard; a block more would change something */
const struct oracle_record *oracle_find(const struct oracle *o, uint32_t shard,
                                        uint64_t position); /* NULL: no such record */

#endif
