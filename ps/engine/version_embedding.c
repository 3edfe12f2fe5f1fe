#include "ps/engine/version_embedding.h"

#include "ps/state/catalog_embedding.h"

/* clang-format off */
#define OF(field) offsetof(struct embedding_options, field)
static const struct {
    const char *key;
    size_t offset;
    unsigned optimizers; /* that have it */
    double preset;       /* where it is not given */
} numbers[] = {
    {"rate",     OF(rate),     EMBEDDING_ALL & ~(1u << OPTIMIZER_ADAM), 0.1},
    {"rate",     OF(rate),     1u << OPTIMIZER_ADAM,                    0.01},
    {"momentum", OF(momentum), 1u << OPTIMIZER_MOMENTUM,                0.9},
    {"beta1",    OF(beta1),    1u << OPTIMIZER_ADAM,                    0.9},
    {"beta2",    OF(beta2),    1u << OPTIMIZER_ADAM,                    0.999},
    {"damping",  OF(damping),  1u << OPTIMIZER_ADAGRAD | 1u << OPTIMIZER_ADAGRAD_ROW | 1u << OPTIMIZER_ADAM, 1e-6},
    {"beta",     OF(beta),     1u << OPTIMIZER_FTRL,                    1},
    {"l1",       OF(l1),       1u << OPTIMIZER_FTRL,                    0},
    {"clip",     OF(clip),     EMBEDDING_ALL,                           1},
    {"norm_max", OF(norm_max), EMBEDDING_ALL,                           100},
    {"admit_share", OF(admit_share), EMBEDDING_ALL,                     1},
};
#undef OF
/* clang-format on */

static double *number_at(struct embedding_options *o, size_t i)
{
    return (double *)(void *)((char *)o + numbers[i].offset);
}

/* Of an optimizer that there is not: all of them. */
static unsigned optimizer_of(const struct embedding_options *o)
{
    enum optimizer_kind kind;
    return optimizer_find(bytes_text(o->optimizer), &kind) ? 1u << kind : EMBEDDING_ALL;
}

bool version_embedding_has(const struct embedding_options *o, const struct option_row *row)
{
    bool named = false;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (strcmp(row->key, numbers[i].key) == 0) {
            named = true;
            if (numbers[i].optimizers & optimizer_of(o))
                return true;
        }
    return !named;
}

static void preset_name(char name[static OPTION_NAME_MAX + 1], const char *preset)
{
    if (!name[0])
        memcpy(name, preset, strlen(preset) + 1);
}

void version_embedding_derive(struct embedding_options *o)
{
    preset_name(o->optimizer, optimizer_name(OPTIMIZER_ADAGRAD));
    preset_name(o->loss, embedding_loss_name(LOSS_LOGISTIC));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if ((numbers[i].optimizers & optimizer_of(o)) && *number_at(o, i) == 0)
            *number_at(o, i) = numbers[i].preset;
    if (o->admit_at == 0)
        o->admit_at = 1;
}

enum tm_code version_embedding_check(const struct embedding_options *o, struct tm_error *err)
{
    struct embedding_options copy = *o;
    enum optimizer_kind kind;
    enum embedding_loss loss;
    if (!embedding_loss_find(bytes_text(o->loss), &loss))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "loss: got %s; expected logistic or squared", o->loss);
    if (!optimizer_find(bytes_text(o->optimizer), &kind))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "optimizer: got %s; expected one of %s", o->optimizer,
                            optimizer_names());
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (*number_at(&copy, i) != 0 && !version_embedding_has(o, &(struct option_row){.key = numbers[i].key}))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: optimizer %s has no such option", numbers[i].key,
                                o->optimizer);
    return TM_OK;
}

void version_embedding_fill(const struct embedding_options *o, struct embedding_config *config)
{
    *config = (struct embedding_config){.optimizer = {.rate = o->rate,
                                                      .momentum = o->momentum,
                                                      .beta1 = o->beta1,
                                                      .beta2 = o->beta2,
                                                      .epsilon = o->damping,
                                                      .beta = o->beta,
                                                      .l1 = o->l1,
                                                      .l2 = o->l2,
                                                      .clip = o->clip},
                                        .norm_max = o->norm_max,
                                        .admit_at = o->admit_at,
                                        .admit_share = o->admit_share,
                                        .expire_after = o->expire_after_ms,
                                        .seed = o->seed};
    embedding_loss_find(bytes_text(o->loss), &config->loss);
    optimizer_find(bytes_text(o->optimizer), &config->optimizer.kind);
}
