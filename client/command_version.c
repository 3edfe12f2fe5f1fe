/* Versions at run time: version list, show, pause, resume. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/units.h"
#include "client/commands.h"
#include "client/validations.h"
#include "proto/wire.h"
#include "tidemill/v1/versions.pb-c.h"

typedef Tidemill__V1__VersionStatus VersionStatus;

enum {
    LIST_TEXT = COMMAND_NAMES_SIZE,
    REASONS = 4
}; /* REASONS: rows of add_counts() from here on tell why samples were skipped */

/* ---- showing ---- */

/* New samples and corrections together. */
static Tidemill__V1__SampleCounts both_kinds(const VersionStatus *v)
{
    Tidemill__V1__SampleCounts sum = TIDEMILL__V1__SAMPLE_COUNTS__INIT;
    const Tidemill__V1__SampleCounts *kinds[] = {v->new_samples, v->corrections};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        sum.samples += kinds[i] ? kinds[i]->samples : 0;
        sum.learned += kinds[i] ? kinds[i]->learned : 0;
        sum.held += kinds[i] ? kinds[i]->held : 0;
    }
    return sum;
}

/* beta: alpha and beta; models over features: mean and sd of a weight. */
static const char *prior_text(const VersionStatus *v, char buf[static LIST_TEXT])
{
    size_t used = 0;
    buf[0] = '\0';
    if (v->prior_source)
        snprintf(buf, LIST_TEXT, "of %s", v->prior_source);
    else if (v->has_prior_sd)
        snprintf(buf, LIST_TEXT, "%.6g, sd %.6g", v->prior_mean, v->prior_sd);
    for (size_t i = 0; i < v->n_prior && used < LIST_TEXT; i++)
        used += (size_t)snprintf(buf + used, LIST_TEXT - used, "%s%.6g", i ? ", " : "", v->prior[i]);
    return buf;
}

static const char *half_life_text(const VersionStatus *v, char buf[static UNITS_TEXT_SIZE])
{
    return v->half_life_ms > 0 ? duration_text(v->half_life_ms, buf) : "never";
}

static void print_versions(VersionStatus *const *versions, size_t count)
{
    static const char *const names[] = {"version",      "state",     "model",   "prior",   "half life", "reward",
                                        "samples from", "documents", "samples", "learned", "held"};
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++) {
        const VersionStatus *v = versions[i];
        const Tidemill__V1__SampleCounts sum = both_kinds(v);
        char prior[LIST_TEXT], from[LIST_TEXT], half_life[UNITS_TEXT_SIZE];
        printer_row(p, (struct cell[]){cell_text(v->name), cell_text(v->state), cell_text(v->model),
                                       cell_text(prior_text(v, prior)), cell_text(half_life_text(v, half_life)),
                                       cell_text(v->reward),
                                       cell_text(command_names(v->samples_from, v->n_samples_from, from)),
                                       cell_count(v->documents), cell_count(sum.samples), cell_count(sum.learned),
                                       cell_count(sum.held)});
    }
    printer_close(p);
}

static void add_row(struct printer *p, const char *name, struct cell value)
{
    printer_row(p, (struct cell[]){cell_text(name), value});
}

static void add_counts(struct printer *p, const char *kind, const Tidemill__V1__SampleCounts *c)
{
    char name[64];
    const struct {
        const char *fate;
        uint64_t count;
    } rows[] = {{"samples", c->samples},
                {"learned", c->learned},
                {"held", c->held},
                {"skipped", c->skipped},
                {"waiting in a batch, or for its turn", c->batched},
                {"skipped: discarded", c->skipped_discarded},
                {"skipped: memory.samples", c->skipped_limit},
                {"skipped: original not learned", c->skipped_original},
                {"skipped: parameter was reset", c->skipped_reset},
                {"skipped: reward divides by 0", c->skipped_reward},
                {"learned, reward cut to the model's range", c->clamped},
                {"skipped: no features", c->skipped_no_features},
                {"skipped: wrong dimension", c->skipped_dimension},
                {"skipped: features out of range", c->skipped_range},
                {"skipped: other representation", c->skipped_representation},
                {"skipped: negative sampling", c->skipped_sampling},
                {"skipped: not admitted yet", c->skipped_admission},
                {"skipped: no longer in the parameters", c->skipped_gone},
                {"skipped: sample filters", c->skipped_filtered}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (i >= REASONS && rows[i].count == 0)
            continue;
        snprintf(name, sizeof name, "%s, %s", kind, rows[i].fate);
        add_row(p, name, cell_count(rows[i].count));
    }
}

static void add_number(struct printer *p, const char *name, bool has, double number)
{
    if (has)
        add_row(p, name, cell_number(number));
}

static void add_embedding(struct printer *p, const Tidemill__V1__EmbeddingSpec *e)
{
    char expires[UNITS_TEXT_SIZE];
    add_row(p, "loss", cell_text(e->loss));
    add_row(p, "optimizer", cell_text(e->optimizer));
    add_number(p, "rate", e->has_rate, e->rate);
    add_number(p, "momentum", e->has_momentum, e->momentum);
    add_number(p, "beta1", e->has_beta1, e->beta1);
    add_number(p, "beta2", e->has_beta2, e->beta2);
    add_number(p, "damping", e->has_damping, e->damping);
    add_number(p, "beta", e->has_beta, e->beta);
    add_number(p, "l1", e->has_l1, e->l1);
    add_number(p, "l2", e->has_l2, e->l2);
    add_number(p, "clip", e->has_clip, e->clip);
    add_number(p, "norm max", e->has_norm_max, e->norm_max);
    add_row(p, "admitted at sample", cell_count(e->admit_at));
    add_number(p, "admitted share", e->has_admit_share, e->admit_share);
    add_row(p, "expires after",
            cell_text(e->expire_after_ms > 0 ? duration_text(e->expire_after_ms, expires) : "never"));
    add_row(p, "seed", cell_count(e->seed));
}

static void add_features(struct printer *p, const VersionStatus *v)
{
    char intercept[LIST_TEXT];
    snprintf(intercept, sizeof intercept, v->has_intercept_sd ? "%.6g, sd %.6g" : "%.6g", v->intercept_mean,
             v->intercept_sd);
    if (!v->prior_source)
        add_row(p, "prior of the intercept", cell_text(intercept));
    add_row(p, "dimension", cell_count(v->dimension));
    if (v->covariance)
        add_row(p, "covariance", cell_text(v->covariance));
    if (v->embedding)
        add_embedding(p, v->embedding);
    if (v->has_noise_sd)
        add_row(p, "noise sd", cell_number(v->noise_sd));
    add_row(p, "representation", cell_text(v->representation ? v->representation : "any"));
    if (v->encoder)
        add_row(p, "encoder makes", cell_text(v->encoder));
    add_row(p, "repairs", cell_count(v->repairs));
}

static void add_policy(struct printer *p, const VersionStatus *v)
{
    add_row(p, "policy", cell_text(v->policy));
    if (v->epsilon > 0)
        add_row(p, "epsilon", cell_number(v->epsilon));
    if (v->has_width)
        add_row(p, "width", cell_number(v->width));
    if (v->propensity_draws > 0)
        add_row(p, "propensity draws", cell_count(v->propensity_draws));
}

static void add_batches(struct printer *p, const VersionStatus *v)
{
    char batch[LIST_TEXT], age[UNITS_TEXT_SIZE];
    const Tidemill__V1__BatchCounts *c = v->batches;
    snprintf(batch, sizeof batch, "of %u samples, positive ratio %.6g, age %s", v->batch_samples,
             v->batch_positive_ratio, duration_text(v->batch_age_ms, age));
    add_row(p, "batch", cell_text(v->batch_samples > 1 ? batch : "none"));
    add_row(p, "order", cell_text(v->order));
    if (!c)
        return;
    add_row(p, "batches, open", cell_count(c->open));
    add_row(p, "batches, learned by samples", cell_count(c->samples));
    add_row(p, "batches, learned by ratio", cell_count(c->ratio));
    add_row(p, "batches, learned by age", cell_count(c->age));
    add_row(p, "batches, learned early: memory.batches", cell_count(c->room));
    add_row(p, "samples behind the watermark", cell_count(c->behind));
    add_row(p, "turns, taken early: memory.batches", cell_count(c->turns));
}

static void print_version(const VersionStatus *v)
{
    static const char *const names[] = {"version", "value"};
    char prior[LIST_TEXT], from[LIST_TEXT], half_life[UNITS_TEXT_SIZE];
    struct printer *p = printer_open(stdout, OUTPUT_TABLE, names, ARRAY_LEN(names));
    add_row(p, "name", cell_text(v->name));
    add_row(p, "state", cell_text(v->state));
    if (v->catching_up > 0)
        add_row(p, "catching up, samples left", cell_count(v->catching_up));
    add_row(p, "model", cell_text(v->model));
    add_row(p, "prior", cell_text(prior_text(v, prior)));
    if (v->has_dimension)
        add_features(p, v);
    add_row(p, "half life", cell_text(half_life_text(v, half_life)));
    add_row(p, "reward", cell_text(v->reward));
    add_row(p, "samples from", cell_text(command_names(v->samples_from, v->n_samples_from, from)));
    add_policy(p, v);
    add_batches(p, v);
    add_row(p, "documents", cell_count(v->documents));
    if (v->new_samples)
        add_counts(p, "new", v->new_samples);
    if (v->corrections)
        add_counts(p, "corrections", v->corrections);
    if (v->validate) {
        add_row(p, "new, not judged: score that was served", cell_count(v->unjudged_served));
        add_row(p, "new, not judged: prequential", cell_count(v->unjudged_prequential));
        add_row(p, "corrections, not judged", cell_count(v->unjudged_corrections));
    }
    add_row(p, "imbalance", cell_signed(v->imbalance));
    add_row(p, "id", cell_count(v->id));
    printer_close(p);
}

/* ---- list ---- */

static void print_list(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    const Tidemill__V1__ListVersionsReply *m = (const Tidemill__V1__ListVersionsReply *)reply;
    print_versions(m->versions, m->n_versions);
}

int command_version_list(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__ListVersionsRequest request = TIDEMILL__V1__LIST_VERSIONS_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, NULL, NULL, NULL, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/ListVersions", &request.base,
                        &tidemill__v1__list_versions_reply__descriptor, print_list);
}

/* ---- show ---- */

/* One NAME; input: where it goes. */
static error_t parse_name(int key, char *argument, struct argp_state *state)
{
    char **name = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (*name)
            argp_error(state, "one NAME is expected");
        *name = argument;
        return 0;
    case ARGP_KEY_END:
        if (!*name)
            argp_error(state, "NAME is required; \"tidemill version list\" shows them");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const char show_method[] = "/tidemill.v1.Admin/ShowVersion";

static void print_shown(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    const Tidemill__V1__ShowVersionReply *m = (const Tidemill__V1__ShowVersionReply *)reply;
    if (!m->version)
        return;
    print_version(m->version);
    if (m->n_validations > 0) {
        putchar('\n');
        validations_print(m->validations, m->n_validations);
    } else if (m->version->validate) {
        puts("\nno prediction was judged yet: that happens when its label is fixed");
    }
    puts("\ncounters are as of the shards' last commits (up to commit.interval old)");
}

int command_version_show(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__ShowVersionRequest request = TIDEMILL__V1__SHOW_VERSION_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, NULL, parse_name, &request.version, &settings, argc, argv);
    return command_show(&settings, show_method, &request.base, &tidemill__v1__show_version_reply__descriptor,
                        print_shown);
}

/* ---- pause and resume ---- */

/* Both replies look the same: a version, a position, and whether it was so already. */
static void print_change(const char *name, const char *did, const char *was, bool unchanged, uint64_t position)
{
    if (unchanged)
        printf("version %s %s already: nothing was changed\n", name, was);
    else
        printf("%s version %s at position %" PRIu64 "\n", did, name, position);
}

int command_version_pause(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__PauseVersionRequest request = TIDEMILL__V1__PAUSE_VERSION_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    command_parse(self, NULL, parse_name, &request.version, &settings, argc, argv);
    if (command_call(&settings, "/tidemill.v1.Admin/PauseVersion", &request.base,
                     &tidemill__v1__pause_version_reply__descriptor, &reply, &err) != TM_OK)
        return command_failed(&err);
    const Tidemill__V1__PauseVersionReply *m = (const Tidemill__V1__PauseVersionReply *)reply;
    if (settings.output == OUTPUT_JSON)
        print_json_line(reply);
    else
        print_change(request.version, "paused", "is paused", m->unchanged, m->position);
    command_hint("it serves its last parameters, its samples are held; next: \"tidemill version resume %s --apply\" "
                 "or \"... --discard\"",
                 request.version);
    wire_free(reply);
    return command_flushed(0);
}

enum { KEY_APPLY = 1, KEY_DISCARD };

static error_t parse_resume(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__ResumeVersionRequest *r = state->input;
    switch (key) {
    case KEY_APPLY: r->has_apply = r->apply = true; return 0;
    case KEY_DISCARD: r->has_discard = r->discard = true; return 0;
    case ARGP_KEY_ARG:
    case ARGP_KEY_END: {
        struct argp_state name = *state;
        name.input = &r->version;
        return parse_name(key, argument, &name);
    }
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Which of the two is a decision about samples, so nobody makes it by leaving a word out. */
static int explain_resume(const struct settings *settings, char *name)
{
    Tidemill__V1__ShowVersionRequest request = TIDEMILL__V1__SHOW_VERSION_REQUEST__INIT;
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    char count[TEXT_NUMBER_SIZE];
    request.version = name;
    if (command_call(settings, show_method, &request.base, &tidemill__v1__show_version_reply__descriptor, &reply,
                     &err) != TM_OK)
        return command_failed(&err);
    const VersionStatus *v = ((const Tidemill__V1__ShowVersionReply *)reply)->version;
    fprintf(stderr,
            "tidemill: what becomes of the %s held samples of version %s? One of:\n"
            "  --apply    learn them in the order they came, then go on\n"
            "  --discard  skip the new samples; corrections of what was learned before still apply\n"
            "Example: tidemill version resume %s --apply\n",
            text_count(v ? both_kinds(v).held : 0, count), name, name);
    wire_free(reply);
    return EXIT_USAGE;
}

static void hint_resumed(const VersionStatus *v)
{
    char count[TEXT_NUMBER_SIZE];
    if (v && v->catching_up > 0)
        command_hint("%s held samples are being worked off; next: \"tidemill version show %s\" tells how many are left",
                     text_count(v->catching_up, count), v->name);
}

int command_version_resume(const struct command *self, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"apply", KEY_APPLY, NULL, 0, "Learn the samples that are held, then go on", 0},
        {"discard", KEY_DISCARD, NULL, 0,
         "Skip the new samples that are held; corrections of what was learned before still apply", 0},
        {0},
    };
    Tidemill__V1__ResumeVersionRequest request = TIDEMILL__V1__RESUME_VERSION_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    command_parse(self, options, parse_resume, &request, &settings, argc, argv);
    if (request.apply == request.discard)
        return explain_resume(&settings, request.version);
    if (command_call(&settings, "/tidemill.v1.Admin/ResumeVersion", &request.base,
                     &tidemill__v1__resume_version_reply__descriptor, &reply, &err) != TM_OK)
        return command_failed(&err);
    const Tidemill__V1__ResumeVersionReply *m = (const Tidemill__V1__ResumeVersionReply *)reply;
    if (settings.output == OUTPUT_JSON)
        print_json_line(reply);
    else
        print_change(request.version, "resumed", "learns", m->unchanged, m->position);
    hint_resumed(m->version);
    wire_free(reply);
    return command_flushed(0);
}
