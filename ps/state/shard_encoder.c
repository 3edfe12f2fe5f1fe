/* Which encoder a version has, and how it changes; the rule is in ps/state/shard.h. */
#include "ps/state/shard_state.h"

uint64_t shard_era(const char *encoder) { return encoder && encoder[0] ? hash_64(bytes_text(encoder)) : 0; }

void shard_find_encoder(struct shard *s, struct version_slot *slot)
{
    const struct encoder_id id = s->catalog.encoder[slot - s->slot];
    const struct version *v = slot->version;
    slot->encoder = NULL;
    table_set_era(slot->table, shard_era(id.text));
    if (!id.text[0])
        return;
    slot->encoder = s->options.encoder ? s->options.encoder(s->options.encoder_context, &id, &s->trouble) : NULL;
    if (!slot->encoder) {
        tm_error_wrap(&s->trouble, "version %s", v->name);
        return;
    }
    if (encoder_width(slot->encoder) != v->config.dimension)
        tm_error_set(&s->trouble, TM_DATA_LOSS, "version %s: its encoder %s makes %u numbers; its dimension is %u",
                     v->name, id.text, encoder_width(slot->encoder), v->config.dimension);
}

/* What is held was taken by the other encoder's rules, and a sample leaves no mark when it is refused: so nothing that
 * was made before is ever asked for again. */
void shard_change_encoder(struct shard *s, uint32_t version)
{
    struct version_slot *slot = shard_slot(s, version);
    table_set_era(slot->table, TABLE_NO_ERA); /* readers take no block for one of the other encoder's */
    shard_discard(s, version);
    shard_forget_batches(s, slot);
    shard_forget_all(s, slot);
    slot->encoded_from = (s->joiner ? joiner_sequence(s->joiner) : 0) + 1;
    encoding_forget(&s->encoding);
    shard_find_encoder(s, slot);
}
