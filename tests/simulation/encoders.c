#include "tests/simulation/encoders.h"

/* Made once, and never given back: children share them. */
const struct encoder *world_encoder(uint32_t i)
{
    static struct encoder *made[WORLD_ENCODERS];
    float weight[WORLD_ENCODED * WORLD_ENCODED], bias[WORLD_ENCODED];
    struct encoder_layout layout = {.dense = WORLD_ENCODED, .layer_count = 1};
    if (made[i])
        return made[i];
    for (uint32_t k = 0; k < WORLD_ENCODED * WORLD_ENCODED; k++)
        weight[k] = (float)((k * 7 + i * 5) % 11) / 8 - 0.5f;
    for (uint32_t k = 0; k < WORLD_ENCODED; k++)
        bias[k] = 0.25f * (float)(k + i);
    layout.layer[0] = (struct encoder_layer){WORLD_ENCODED, WORLD_ENCODED, ACTIVATION_TANH, weight, bias};
    CHECK(encoder_open(&layout, &made[i], NULL) == TM_OK);
    return made[i];
}

const char *world_encoder_name(uint32_t i)
{
    static struct encoder_id name[WORLD_ENCODERS];
    name[i] = encoder_representation(world_encoder(i));
    return name[i].text;
}

const struct encoder *world_encoder_find(void *nobody, const struct encoder_id *id, struct tm_error *err)
{
    (void)nobody;
    for (uint32_t i = 0; i < WORLD_ENCODERS; i++)
        if (strcmp(world_encoder_name(i), id->text) == 0)
            return world_encoder(i);
    tm_error_set(err, TM_DATA_LOSS, "no encoder of any world makes %s", id->text);
    return NULL;
}
