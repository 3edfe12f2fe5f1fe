#include "learner/model.h"

#include <math.h>
#include <stdlib.h>

#include "learner/beta.h"

static const struct model *const models[] = {&model_beta};

void block_copy_close(struct block_copy *copy) { free(copy->large); }

const struct model *model_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        if (bytes_equal(name, bytes_text(models[i]->name)))
            return models[i];
    return NULL;
}

void model_unit_rewards(const struct model_config *config, double *low, double *high)
{
    (void)config;
    *low = 0;
    *high = 1;
}

const char *model_names(void) { return "beta"; }

double model_decay(double half_life_ms) { return half_life_ms > 0 ? log(2.0) / half_life_ms : 0; }
