#include "learner/off_policy_requests.h"

static const double errors_plausible = 3;

void off_policy_request_add(struct off_policy_request *q, const struct decision *d, double times)
{
    CHECK(off_policy_takes(d, NULL) == TM_OK && times > 0);
    double w = d->target / d->propensity;
    q->decisions += times;
    q->weight += times * w;
    q->reward += times * w * d->reward;
    q->doubly += times * (d->expected_target + w * (d->reward - d->expected_action));
    q->weight_second += times * w * w;
    q->weight_max = fmax(q->weight_max, w);
}

void off_policy_requests_add(struct off_policy_requests *o, const struct off_policy_request *q)
{
    o->requests++;
    o->decisions += q->decisions;
    o->weight += q->weight;
    o->reward += q->reward;
    o->doubly += q->doubly;
    o->weight_decisions_second += q->weight_second;
    o->weight_max = fmax(o->weight_max, q->weight_max);
    o->decisions_second += q->decisions * q->decisions;
    o->weight_second += q->weight * q->weight;
    o->reward_second += q->reward * q->reward;
    o->doubly_second += q->doubly * q->doubly;
    o->weight_decisions += q->weight * q->decisions;
    o->reward_decisions += q->reward * q->decisions;
    o->doubly_decisions += q->doubly * q->decisions;
    o->reward_weight += q->reward * q->weight;
}

/* R / N and its error, of the sums of R, N, R R, R N and N N over `requests`. Rounding may leave a little below 0. */
static struct estimate ratio_of(double r, double n, double rr, double rn, double nn, uint64_t requests, double factor)
{
    double ratio = r / n, squares = rr - 2 * ratio * rn + ratio * ratio * nn;
    return (struct estimate){ratio, requests < 2 ? NAN : sqrt(factor * fmax(squares, 0)) / n};
}

void off_policy_requests_report(const struct off_policy_requests *o, struct off_policy_report *out)
{
    uint64_t m = o->requests;
    double n = o->decisions, nn = o->decisions_second, factor = (double)m / ((double)m - 1);
    *out = (struct off_policy_report){
        .ips = ratio_of(o->reward, n, o->reward_second, o->reward_decisions, nn, m, factor),
        .snips = ratio_of(o->reward, o->weight, o->reward_second, o->reward_weight, o->weight_second, m, 1),
        .dr = ratio_of(o->doubly, n, o->doubly_second, o->doubly_decisions, nn, m, factor),
        .weight = ratio_of(o->weight, n, o->weight_second, o->weight_decisions, nn, m, factor),
        .effective = o->weight * o->weight / o->weight_decisions_second,
        .weight_max = o->weight_max,
    };
    out->weight_plausible = fabs(out->weight.value - 1) <= errors_plausible * out->weight.error;
}
