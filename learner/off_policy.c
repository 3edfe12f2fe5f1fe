#include "learner/off_policy.h"

static const double errors_plausible = 3;

void off_policy_start(struct off_policy *o, double clip)
{
    CHECK(clip > 0);
    *o = (struct off_policy){.clip = clip};
}

enum tm_code off_policy_takes(const struct decision *d, struct tm_error *err)
{
    if (!(d->propensity > 0 && d->propensity <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "propensity: %g is not in (0, 1]", d->propensity);
    if (!(d->target >= 0 && d->target <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "target: %g is not in [0, 1]", d->target);
    if (!isfinite(d->reward))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reward: %g is not finite", d->reward);
    if (!isfinite(d->expected_target) || !isfinite(d->expected_action))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "expected reward: %g and %g are not both finite",
                            d->expected_target, d->expected_action);
    return TM_OK;
}

static void sum_add(struct off_policy_sum *s, double x)
{
    s->first += x;
    s->second += x * x;
}

static void sum_replace(struct off_policy_sum *s, double before, double after)
{
    s->first += after - before;
    s->second += after * after - before * before;
}

static void sum_merge(struct off_policy_sum *into, const struct off_policy_sum *other)
{
    into->first += other->first;
    into->second += other->second;
}

static double doubly(const struct decision *d, double v)
{
    return d->expected_target + v * (d->reward - d->expected_action);
}

void off_policy_add(struct off_policy *o, const struct decision *d)
{
    CHECK(off_policy_takes(d, NULL) == TM_OK);
    double w = d->target / d->propensity, v = fmin(w, o->clip);
    o->decisions++;
    o->clipped += w > o->clip;
    o->weight_max = fmax(o->weight_max, w);
    sum_add(&o->weight, w);
    sum_add(&o->kept, v);
    sum_add(&o->reward, v * d->reward);
    sum_add(&o->doubly, doubly(d, v));
    o->kept_reward += v * v * d->reward;
}

void off_policy_correct(struct off_policy *o, const struct decision *before, double reward)
{
    struct decision after = *before;
    after.reward = reward;
    CHECK(off_policy_takes(before, NULL) == TM_OK && off_policy_takes(&after, NULL) == TM_OK && o->decisions > 0);
    double v = fmin(before->target / before->propensity, o->clip);
    sum_replace(&o->reward, v * before->reward, v * reward);
    sum_replace(&o->doubly, doubly(before, v), doubly(&after, v));
    o->kept_reward += v * v * (reward - before->reward);
}

/* ---- by action ---- */

void off_policy_action_add(struct off_policy_action *a, double propensity, double reward, double times)
{
    double inverse = 1 / propensity, weighted = reward * inverse;
    CHECK(propensity > 0 && propensity <= 1 && isfinite(reward) && times > 0);
    a->decisions += times;
    a->inverse += times * inverse;
    a->inverse_second += times * inverse * inverse;
    a->inverse_max = fmax(a->inverse_max, inverse);
    a->reward += times * weighted;
    a->reward_second += times * weighted * weighted;
    a->reward_cross += times * weighted * inverse;
}

void off_policy_add_action(struct off_policy *o, const struct off_policy_action *a, double target,
                           double expected_target, double expected_action)
{
    CHECK(o->clip == INFINITY && target >= 0 && target <= 1);
    double square = target * target, q = expected_action;
    double gain = target * (a->reward - q * a->inverse); /* sum of w (r - q) */
    double gain_second = square * (a->reward_second - 2 * q * a->reward_cross + q * q * a->inverse_second);
    struct off_policy_sum weight = {target * a->inverse, square * a->inverse_second};
    sum_merge(&o->weight, &weight);
    sum_merge(&o->kept, &weight);
    sum_merge(&o->reward, &(struct off_policy_sum){target * a->reward, square * a->reward_second});
    sum_merge(&o->doubly,
              &(struct off_policy_sum){expected_target * a->decisions + gain,
                                       expected_target * (expected_target * a->decisions + 2 * gain) + gain_second});
    o->decisions += a->decisions;
    o->weight_max = fmax(o->weight_max, target * a->inverse_max);
    o->kept_reward += square * a->reward_cross;
}

/* ---- merging ---- */

void off_policy_merge(struct off_policy *into, const struct off_policy *other)
{
    CHECK(into->clip == other->clip);
    into->decisions += other->decisions;
    into->clipped += other->clipped;
    into->weight_max = fmax(into->weight_max, other->weight_max);
    sum_merge(&into->weight, &other->weight);
    sum_merge(&into->kept, &other->kept);
    sum_merge(&into->reward, &other->reward);
    sum_merge(&into->doubly, &other->doubly);
    into->kept_reward += other->kept_reward;
}

/* ---- storing ---- */

static void sum_encode(const struct off_policy_sum *s, struct buffer *out)
{
    buffer_put_f64(out, s->first);
    buffer_put_f64(out, s->second);
}

static struct off_policy_sum sum_decode(struct reader *in)
{
    struct off_policy_sum s = {reader_f64(in), reader_f64(in)};
    in->bad |= !isfinite(s.first) || !isfinite(s.second);
    return s;
}

void off_policy_encode(const struct off_policy *o, struct buffer *out)
{
    buffer_put_f64(out, o->clip);
    buffer_put_f64(out, o->decisions);
    buffer_put_f64(out, o->clipped);
    buffer_put_f64(out, o->weight_max);
    sum_encode(&o->weight, out);
    sum_encode(&o->kept, out);
    sum_encode(&o->reward, out);
    sum_encode(&o->doubly, out);
    buffer_put_f64(out, o->kept_reward);
}

enum tm_code off_policy_decode(struct off_policy *o, struct reader *in, struct tm_error *err)
{
    struct off_policy read = {.clip = reader_f64(in), .decisions = reader_f64(in), .clipped = reader_f64(in)};
    read.weight_max = reader_f64(in);
    read.weight = sum_decode(in);
    read.kept = sum_decode(in);
    read.reward = sum_decode(in);
    read.doubly = sum_decode(in);
    read.kept_reward = reader_f64(in);
    if (in->bad || !(read.clip > 0) || !(read.weight_max >= 0) ||
        !(read.clipped >= 0 && read.clipped <= read.decisions) || !isfinite(read.kept_reward))
        return tm_error_set(err, TM_DATA_LOSS, "off-policy sums: not what was written");
    *o = read;
    return TM_OK;
}

/* ---- estimates ---- */

/* Rounding may leave a variance a little below 0. */
static double error_of(double squares, double n) { return n < 2 ? NAN : sqrt(fmax(squares, 0) / n / (n - 1)); }

static struct estimate mean_of(const struct off_policy_sum *s, double n)
{
    double mean = s->first / n;
    return (struct estimate){mean, error_of(s->second - n * mean * mean, n)};
}

/* By the delta method the variance of the ratio is mean(v^2 (r - ratio)^2) / n / mean(v)^2. */
static struct estimate ratio_of(const struct off_policy *o, double n)
{
    double ratio = o->reward.first / o->kept.first;
    double squares = o->reward.second - 2 * ratio * o->kept_reward + ratio * ratio * o->kept.second;
    return (struct estimate){ratio, n < 2 ? NAN : sqrt(fmax(squares, 0)) / o->kept.first};
}

void off_policy_report(const struct off_policy *o, struct off_policy_report *out)
{
    double n = o->decisions;
    *out = (struct off_policy_report){
        .ips = mean_of(&o->reward, n),
        .snips = ratio_of(o, n),
        .dr = mean_of(&o->doubly, n),
        .weight = mean_of(&o->weight, n),
        .effective = o->weight.first * o->weight.first / o->weight.second,
        .weight_max = o->weight_max,
        .clipped = o->clipped / n,
    };
    out->weight_plausible = fabs(out->weight.value - 1) <= errors_plausible * out->weight.error;
}
