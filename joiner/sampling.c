#include "joiner/sampling.h"

/* Apart from every other use of the same hashes. */
static const uint64_t salts[] = {
    [SAMPLING_IMPRESSION] = UINT64_C(0x9d1f7a3c5be80246), [SAMPLING_USER] = UINT64_C(0x3c6e02b18fd9a754)};

static bool fits(const struct sampling_rule *rule, const struct sampling_ticket *t)
{
    if (!t->has_place)
        return rule->first == INT32_MIN && rule->last == INT32_MAX;
    return t->place >= rule->first && t->place <= rule->last;
}

/* Uniform in [0, 1), of 53 bits. */
static double number_of(uint32_t unit, const struct sampling_ticket *t)
{
    uint64_t of_user = unit == SAMPLING_USER ? t->user : 0;
    uint64_t parts[3] = {salts[of_user ? SAMPLING_USER : SAMPLING_IMPRESSION], of_user ? of_user : t->key.lo,
                         of_user ? 0 : t->key.hi};
    return (double)(hash_64(bytes_of(parts, sizeof parts)) >> 11) * 0x1p-53;
}

struct sampling_lot sampling_draw(const struct sampling *s, const struct sampling_ticket *ticket)
{
    for (uint32_t i = 0; i < s->rules; i++) {
        const struct sampling_rule *rule = &s->rule[i];
        if (fits(rule, ticket))
            return (struct sampling_lot){rule->keep, number_of(rule->unit, ticket) >= (double)rule->keep};
    }
    return (struct sampling_lot){.rate = 1};
}
