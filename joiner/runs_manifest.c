/* The list of runs as it is stored, and how it comes back. */
#include <stdlib.h>

#include "joiner/runs.h"

enum { FORMAT = 1, DROPPED_MAX = 1 << 16 };

static void encode_run(const struct run *run, struct buffer *out)
{
    buffer_put_u64(out, run->id);
    buffer_put_u64(out, run->keys);
    buffer_put_i64(out, run->oldest);
    buffer_put_i64(out, run->newest);
    buffer_put_u32(out, run->shift);
    buffer_put_u32(out, run->level);
    buffer_put_u32(out, run->filter.lines);
}

static void encode_dropped(uint64_t run, uint32_t blocks, struct buffer *out)
{
    buffer_put_u64(out, run);
    buffer_put_u32(out, blocks);
}

void runs_write(struct runs *r, struct bytes more, bool more_changed)
{
    CLEANUP(buffer_close) struct buffer row = {0};
    uint8_t key[RUN_KEY];
    bool merging = r->merge.inputs > 0;
    if (!r->changed && !more_changed)
        return;
    buffer_put_u32(&row, FORMAT);
    buffer_put_u64(&row, r->next_id);
    buffer_put_u64(&row, r->sealed);
    buffer_put_u32(&row, r->count);
    for (uint32_t i = 0; i < r->count; i++)
        encode_run(&r->run[i], &row);
    buffer_put_u32(&row, (uint32_t)(r->dropped_count + merging));
    for (size_t i = 0; i < r->dropped_count; i++)
        encode_dropped(r->dropped[i].run, r->dropped[i].blocks, &row);
    if (merging) /* after a crash it begins again under another number */
        encode_dropped(r->merge.out.run.id, run_blocks(&r->merge.out.run), &row);
    buffer_put(&row, more.data, more.size);
    run_key(key, RUN_MANIFEST, 0, 0);
    r->options.store.put(r->options.store.self, bytes_of(key, sizeof key), buffer_view(&row));
    r->changed = false;
}

static void decode_run(struct runs *r, struct reader *in)
{
    struct run run = {.id = reader_u64(in)};
    run.keys = reader_u64(in);
    run.oldest = reader_i64(in);
    run.newest = reader_i64(in);
    run.shift = reader_u32(in);
    run.level = reader_u32(in);
    uint32_t lines = reader_u32(in);
    in->bad |= run.id == 0 || run.id >= r->next_id || run.shift >= 32 || lines == 0;
    if (in->bad)
        return;
    key_filter_open(&run.filter, lines);
    run.written = run_blocks(&run);
    r->run[r->count++] = run;
}

static void decode_dropped(struct runs *r, struct reader *in)
{
    uint32_t count = reader_u32(in);
    in->bad |= count > DROPPED_MAX;
    if (in->bad || count == 0)
        return;
    r->dropped = mem_new(count, sizeof *r->dropped);
    r->dropped_capacity = count;
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        struct runs_dropped d = {.run = reader_u64(in)};
        d.blocks = reader_u32(in);
        in->bad |= d.blocks == 0;
        r->dropped[r->dropped_count++] = d;
    }
}

enum tm_code runs_load_manifest(struct runs *r, struct bytes row, struct bytes *more, struct tm_error *err)
{
    struct reader in = reader_of(row);
    CHECK(runs_on(r) && r->count == 0 && r->dropped_count == 0);
    in.bad |= reader_u32(&in) != FORMAT;
    r->next_id = reader_u64(&in);
    r->sealed = reader_u64(&in);
    uint32_t count = reader_u32(&in);
    in.bad |= count > RUNS_MAX;
    for (uint32_t i = 0; i < count && !in.bad; i++)
        decode_run(r, &in);
    decode_dropped(r, &in);
    *more = bytes_of(in.at, reader_left(&in));
    return in.bad ? tm_error_set(err, TM_DATA_LOSS, "the list of runs of decided keys is damaged") : TM_OK;
}

enum tm_code runs_load_filter(struct runs *r, struct bytes key, struct bytes row, struct tm_error *err)
{
    struct reader in = reader_of(row);
    uint64_t id = key_get_u64(key.data + 1), checksum = reader_u64(&in);
    size_t at = (size_t)key_get_u32(key.data + 9) * RUN_FILTER_PART;
    struct bytes part = bytes_of(in.at, reader_left(&in));
    for (uint32_t i = 0; i < r->count; i++) {
        struct key_filter *f = &r->run[i].filter;
        if (r->run[i].id != id)
            continue;
        size_t left = at < key_filter_bytes(f) ? key_filter_bytes(f) - at : 0;
        if (in.bad || part.size == 0 || part.size != (left < RUN_FILTER_PART ? left : RUN_FILTER_PART) ||
            hash_64(part) != checksum)
            break;
        memcpy((uint8_t *)f->words + at, part.data, part.size);
        r->run[i].filter_loaded += part.size;
        return TM_OK;
    }
    return tm_error_set(err, TM_DATA_LOSS, "a filter of run %llu of decided keys is damaged or belongs to no run",
                        (unsigned long long)id);
}

enum tm_code runs_load_done(const struct runs *r, struct tm_error *err)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->run[i].filter_loaded != key_filter_bytes(&r->run[i].filter))
            return tm_error_set(err, TM_DATA_LOSS, "the filter of run %llu of decided keys is not whole",
                                (unsigned long long)r->run[i].id);
    return TM_OK;
}
