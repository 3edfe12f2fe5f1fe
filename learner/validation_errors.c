#include "learner/validation_errors.h"

#include <math.h>

#include "learner/special.h"
#include "learner/validation.h"

static const double freedom_normal = 1e6; /* from here on t is a normal, to 1e-6 */
static const double z95 = 1.959963984540054, outside = 0.05;

static double held(double x) { return fmin(fmax(x, -ERROR_MOST), ERROR_MOST); }

/* Exact: what is below 2^53 units is rounded to one, what is above is whole. */
static error_sum in_units(double x) { return (error_sum)round(x * VALIDATION_UNIT); }

/* -ln of the density of t at distance `off` scales, in units of the scale. */
static double surprise(double off, double freedom)
{
    int sign;
    if (freedom >= freedom_normal)
        return 0.5 * (log(2 * M_PI) + off * off);
    return lgamma_r(freedom / 2, &sign) - lgamma_r((freedom + 1) / 2, &sign) + 0.5 * log(freedom * M_PI) +
           (freedom + 1) / 2 * log1p(off * off / freedom);
}

static bool is_within(double off, double freedom)
{
    if (freedom >= freedom_normal)
        return fabs(off) <= z95;
    return beta_cdf(freedom / 2, 0.5, freedom / (freedom + off * off)) >= outside;
}

struct error_sums error_share(const struct real_outcome *o)
{
    double off = held((o->reward - o->mean) / o->unit), reward = held(o->reward / o->unit);
    struct error_sums s = {
        .samples = 1,
        .weight = (int64_t)in_units(o->weight),
        .squared = in_units(o->weight * off * off),
        .absolute = in_units(o->weight * fabs(off)),
        .reward = in_units(o->weight * reward),
        .reward_squared = in_units(o->weight * reward * reward),
    };
    if (!(o->scale > 0))
        return s;
    double scaled = held((o->reward - o->mean) / o->scale);
    s.foretold = s.weight;
    s.covered = is_within(scaled, o->freedom) ? s.weight : 0;
    s.density = in_units(o->weight * (surprise(scaled, o->freedom) + log(o->scale)));
    return s;
}

void error_sums_add(struct error_sums *to, const struct error_sums *from)
{
    to->samples += from->samples;
    to->weight += from->weight;
    to->squared += from->squared;
    to->absolute += from->absolute;
    to->reward += from->reward;
    to->reward_squared += from->reward_squared;
    to->foretold += from->foretold;
    to->covered += from->covered;
    to->density += from->density;
}

void error_sums_take(struct error_sums *from, const struct error_sums *what)
{
    CHECK(from->samples >= what->samples);
    from->samples -= what->samples;
    from->weight -= what->weight;
    from->squared -= what->squared;
    from->absolute -= what->absolute;
    from->reward -= what->reward;
    from->reward_squared -= what->reward_squared;
    from->foretold -= what->foretold;
    from->covered -= what->covered;
    from->density -= what->density;
}

/* ---- reading out ---- */

static double per(error_sum sum, int64_t weight) { return (double)sum / (double)weight; }

struct error_report error_report(const struct error_sums *s, double unit)
{
    double mean = per(s->reward, s->weight), squared = per(s->squared, s->weight);
    double variance = per(s->reward_squared, s->weight) - mean * mean;
    return (struct error_report){
        .mean_reward = unit * mean,
        .squared = unit * unit * squared,
        .absolute = unit * per(s->absolute, s->weight),
        .explained = variance > 0 ? 1 - squared / variance : NAN,
        .density = per(s->density, s->foretold),
        .coverage = per(s->covered, s->foretold),
    };
}

/* ---- storing ---- */

static void put_sum(struct buffer *out, error_sum sum)
{
    buffer_put_u64(out, (uint64_t)((unsigned __int128)sum >> 64));
    buffer_put_u64(out, (uint64_t)sum);
}

static error_sum read_sum(struct reader *in)
{
    uint64_t high = reader_u64(in), low = reader_u64(in);
    return (error_sum)((unsigned __int128)high << 64 | low);
}

void error_sums_encode(const struct error_sums *s, struct buffer *out)
{
    buffer_put_u64(out, s->samples);
    buffer_put_i64(out, s->weight);
    buffer_put_i64(out, s->foretold);
    buffer_put_i64(out, s->covered);
    put_sum(out, s->squared);
    put_sum(out, s->absolute);
    put_sum(out, s->reward);
    put_sum(out, s->reward_squared);
    put_sum(out, s->density);
}

void error_sums_decode(struct error_sums *s, struct reader *in)
{
    s->samples = reader_u64(in);
    s->weight = reader_i64(in);
    s->foretold = reader_i64(in);
    s->covered = reader_i64(in);
    s->squared = read_sum(in);
    s->absolute = read_sum(in);
    s->reward = read_sum(in);
    s->reward_squared = read_sum(in);
    s->density = read_sum(in);
    in->bad |= s->weight < 0 || s->foretold < 0 || s->foretold > s->weight || s->covered < 0 ||
               s->covered > s->foretold || s->squared < 0 || s->absolute < 0 || s->reward_squared < 0;
}
