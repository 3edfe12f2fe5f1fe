#include "ps/state/catalog_embedding.h"

static const char *const losses[] = {[LOSS_LOGISTIC] = "logistic", [LOSS_SQUARED] = "squared"};

const char *embedding_loss_name(enum embedding_loss loss) { return losses[loss]; }

bool embedding_loss_find(struct bytes name, enum embedding_loss *loss)
{
    for (size_t i = 0; i < ARRAY_LEN(losses); i++)
        if (bytes_equal(name, bytes_text(losses[i]))) {
            *loss = (enum embedding_loss)i;
            return true;
        }
    return false;
}

static char *text(const char *name) { return (char *)(uintptr_t)name; } /* protobuf-c has no const */

void embedding_describe(const struct embedding_config *config, Tidemill__V1__EmbeddingSpec *out)
{
    tidemill__v1__embedding_spec__init(out);
    out->loss = text(losses[config->loss]);
    out->optimizer = text(optimizer_name(config->optimizer.kind));
#define N(field, from, who)    \
    out->field = config->from; \
    out->has_##field = (who) >> config->optimizer.kind & 1;
    EMBEDDING_NUMBERS(N)
#undef N
}

enum tm_code embedding_read(const Tidemill__V1__EmbeddingSpec *spec, struct embedding_config *out, struct tm_error *err)
{
    const char *loss = spec->loss ? spec->loss : "", *optimizer = spec->optimizer ? spec->optimizer : "";
    if (!embedding_loss_find(bytes_text(loss), &out->loss) ||
        !optimizer_find(bytes_text(optimizer), &out->optimizer.kind))
        return tm_error_set(err, TM_DATA_LOSS, "an embedding with loss \"%s\" and optimizer \"%s\"", loss, optimizer);
#define N(field, to, who) out->to = spec->field;
    EMBEDDING_NUMBERS(N)
#undef N
    return TM_OK;
}
