/* How a struct validation lies in a store: sparse, because most bins are empty. */
#include "learner/validation.h"

void validation_encode_head(const struct validation *v, struct buffer *out)
{
    for (int w = 0; w < VALIDATION_WINDOWS; w++) {
        buffer_put_i64(out, v->newest[w]);
        buffer_put_u64(out, v->late[w]);
        buffer_put_u64(out, v->gone[w]);
    }
}

/* Panes that no row will bring were empty: their stretches follow from the head. */
static void place_panes(struct validation *v)
{
    for (int w = 0; w < VALIDATION_WINDOWS; w++)
        for (int64_t age = 0; v->newest[w] != INT64_MIN && age < validation_spans[w].panes; age++) {
            int64_t stretch = v->newest[w] - age;
            v->pane[validation_slot(w, stretch)] = (struct validation_pane){.stretch = stretch};
        }
}

enum tm_code validation_decode_head(struct validation *v, struct reader *in, struct tm_error *err)
{
    validation_start(v);
    for (int w = 0; w < VALIDATION_WINDOWS; w++) {
        v->newest[w] = reader_i64(in);
        v->late[w] = reader_u64(in);
        v->gone[w] = reader_u64(in);
        int64_t most = INT64_MAX / validation_spans[w].length;
        if (v->newest[w] != INT64_MIN && (v->newest[w] > most || v->newest[w] < -most - 1))
            in->bad = true;
    }
    if (in->bad) {
        validation_start(v);
        return tm_error_set(err, TM_DATA_LOSS, "validation: its head is not what was written");
    }
    place_panes(v);
    return TM_OK;
}

/* ---- a pane ---- */

static void encode_bin(const struct validation_bin *b, struct buffer *out)
{
    buffer_put_i64(out, b->weight);
    buffer_put_i64(out, b->predicted);
    buffer_put_i64(out, b->positive);
}

static struct validation_bin decode_bin(struct reader *in)
{
    return (struct validation_bin){reader_i64(in), reader_i64(in), reader_i64(in)};
}

static bool empty(const struct validation_bin *b) { return b->weight == 0 && b->predicted == 0 && b->positive == 0; }

/* u16 count of those that are not 0, then u16 place, value of each, ascending. */
static void encode_scores(const uint32_t *score, struct buffer *out)
{
    uint16_t used = 0;
    for (uint16_t i = 0; i < 2 * VALIDATION_SCORES; i++)
        used += score[i] != 0;
    buffer_put_u16(out, used);
    for (uint16_t i = 0; i < 2 * VALIDATION_SCORES; i++)
        if (score[i]) {
            buffer_put_u16(out, i);
            buffer_put_u32(out, score[i]);
        }
}

static void encode_bins(const struct validation_bin *bin, struct buffer *out)
{
    uint16_t used = 0;
    for (uint16_t i = 0; i < VALIDATION_BINS; i++)
        used += !empty(&bin[i]);
    buffer_put_u16(out, used);
    for (uint16_t i = 0; i < VALIDATION_BINS; i++)
        if (!empty(&bin[i])) {
            buffer_put_u16(out, i);
            encode_bin(&bin[i], out);
        }
}

/* The next place of an ascending list below `end`; end and a bad reader otherwise. */
static uint32_t next_place(struct reader *in, uint32_t *from, uint32_t end)
{
    uint32_t place = reader_u16(in);
    in->bad |= place < *from || place >= end;
    *from = place + 1;
    return in->bad ? end : place;
}

static void decode_scores(uint32_t *score, struct reader *in)
{
    uint32_t from = 0;
    for (uint16_t left = reader_u16(in); left && !in->bad; left--) {
        uint32_t place = next_place(in, &from, 2 * VALIDATION_SCORES), count = reader_u32(in);
        in->bad |= count == 0;
        if (!in->bad)
            score[place] = count;
    }
}

static void decode_bins(struct validation_bin *bin, struct reader *in)
{
    uint32_t from = 0;
    for (uint16_t left = reader_u16(in); left && !in->bad; left--) {
        uint32_t place = next_place(in, &from, VALIDATION_BINS);
        struct validation_bin b = decode_bin(in);
        in->bad |= empty(&b);
        if (!in->bad)
            bin[place] = b;
    }
}

void validation_encode_pane(const struct validation *v, uint32_t pane, struct buffer *out)
{
    const struct validation_pane *p = &v->pane[pane];
    buffer_put_i64(out, p->stretch);
    encode_bin(&p->all, out);
    buffer_put_i64(out, p->loss);
    buffer_put_i64(out, p->trials);
    buffer_put_i64(out, p->covered);
    buffer_put_i64(out, p->dispersion);
    encode_scores(p->score, out);
    encode_bins(p->bin, out);
    request_sample_encode(&p->requests, out);
    buffer_put_u8(out, p->errors.samples > 0);
    if (p->errors.samples > 0)
        error_sums_encode(&p->errors, out);
}

enum tm_code validation_decode_pane(struct validation *v, uint32_t pane, struct reader *in, struct tm_error *err)
{
    CHECK(pane < VALIDATION_PANES);
    enum validation_window w = pane < VALIDATION_HOUR_PANES ? VALIDATION_HOUR : VALIDATION_DAY;
    struct validation_pane p = {.stretch = reader_i64(in)};
    p.all = decode_bin(in);
    p.loss = reader_i64(in);
    p.trials = reader_i64(in);
    p.covered = reader_i64(in);
    p.dispersion = reader_i64(in);
    decode_scores(p.score, in);
    decode_bins(p.bin, in);
    if (in->bad || validation_slot(w, p.stretch) != pane || p.stretch > v->newest[w])
        return tm_error_set(err, TM_DATA_LOSS, "validation: pane %u is not what was written", pane);
    enum tm_code rc = request_sample_decode(&p.requests, in, err);
    if (rc == TM_OK && reader_u8(in) > 0)
        error_sums_decode(&p.errors, in);
    if (rc == TM_OK && in->bad)
        rc = tm_error_set(err, TM_DATA_LOSS, "validation: the errors of pane %u are not what was written", pane);
    if (rc == TM_OK && validation_within(w, p.stretch, v->newest[w]))
        v->pane[pane] = p;
    return rc;
}
