/* reward: what was liked of a ranking. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/commands.h"
#include "tidemill/v1/ranking.pb-c.h"

enum { KEY_REQUEST = 1, KEY_USER, KEY_STREAM, KEY_VALUE };

struct arguments {
    Tidemill__V1__RewardRequest request;
    double value;
    bool has_value; /* the same of each document */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    char *end;
    switch (key) {
    case KEY_REQUEST: a->request.request = argument; return 0;
    case KEY_USER: a->request.user = argument; return 0;
    case KEY_STREAM: a->request.stream = argument; return 0;
    case KEY_VALUE:
        a->has_value = true;
        a->value = strtod(argument, &end);
        if (end == argument || *end)
            argp_error(state, "--value: got \"%s\"; expected a number", argument);
        return 0;
    case ARGP_KEY_ARGS:
        a->request.docs = state->argv + state->next;
        a->request.n_docs = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (!a->request.n_docs)
            argp_error(state, "at least one DOC is required");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static double *repeat(double value, size_t count)
{
    double *list = mem_new(count, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = value;
    return list;
}

static void print_rewarded(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    size_t docs = ((const Tidemill__V1__RewardRequest *)request)->n_docs;
    printf("%zu action%s at position %" PRIu64 "\n", docs, docs == 1 ? "" : "s",
           ((const Tidemill__V1__RewardReply *)reply)->position);
}

int command_reward(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"request", KEY_REQUEST, "ID", 0, "The ranking's, as \"tidemill rank\" told it", 0},
        {"user", KEY_USER, "ID", 0, "Where the action stream's key has the user", 0},
        {"stream", KEY_STREAM, "NAME", 0, "The action stream (default: the only one there is)", 0},
        {"value", KEY_VALUE, "X", 0, "Of each action (default: 1)", 0},
        {0},
    };
    struct arguments a = {.request = TIDEMILL__V1__REWARD_REQUEST__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, options, parse, &a, &settings, argc, argv);
    a.request.has_durable = a.request.durable = true;
    if (a.has_value) {
        a.request.n_values = a.request.n_docs;
        a.request.values = repeat(a.value, a.request.n_docs);
    }
    int code = command_show(&settings, "/tidemill.v1.Ranking/Reward", &a.request.base,
                            &tidemill__v1__reward_reply__descriptor, print_rewarded);
    free(a.request.values);
    return code;
}
