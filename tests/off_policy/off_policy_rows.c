/* off_policy_rows CLIP: the estimates of learner/off_policy.h from decisions on standard input, for recompute.py beside
 * it, which works them out by itself.
 *
 * In   one decision a line: propensity target reward expected_target expected_action.
 * Out  one figure a line: name, value. Exit code 2: a line that is no decision, or none at all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "learner/off_policy.h"

static void print(const char *name, double value) { printf("%s %.17g\n", name, value); }

static void print_estimate(const char *name, struct estimate e)
{
    printf("%s %.17g\n%s_error %.17g\n", name, e.value, name, e.error);
}

int main(int argc, char **argv)
{
    /* Four shards, as a server would hold them. */
    struct off_policy shard[4];
    struct off_policy_report r;
    struct tm_error err;
    struct decision d;
    uint64_t rows = 0;
    double clip = argc == 2 ? strtod(argv[1], NULL) : 0;
    if (!(clip > 0)) {
        fputs("usage: off_policy_rows CLIP <DECISIONS\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(shard); i++)
        off_policy_start(&shard[i], clip);
    int fields;
    while ((fields = scanf("%lf %lf %lf %lf %lf", &d.propensity, &d.target, &d.reward, &d.expected_target,
                           &d.expected_action)) == 5 &&
           off_policy_takes(&d, &err) == TM_OK)
        off_policy_add(&shard[rows++ % ARRAY_LEN(shard)], &d);
    if (fields != EOF || rows == 0) {
        fprintf(stderr, "off_policy_rows: decision %" PRIu64 " is not one: %s\n", rows + 1,
                fields == 5 ? err.message : "five numbers are wanted");
        return 2;
    }
    for (size_t i = 1; i < ARRAY_LEN(shard); i++)
        off_policy_merge(&shard[0], &shard[i]);
    off_policy_report(&shard[0], &r);
    print_estimate("ips", r.ips);
    print_estimate("snips", r.snips);
    print_estimate("dr", r.dr);
    print_estimate("weight", r.weight);
    print("effective", r.effective);
    print("weight_max", r.weight_max);
    print("clipped", r.clipped);
    return 0;
}
