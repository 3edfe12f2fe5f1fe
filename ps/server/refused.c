#include "ps/server/refused.h"

/* One more for this field? */
static bool has_room(struct refused *r, const char *field)
{
    uint32_t i = 0;
    while (i < r->fields && strcmp(r->field[i].name, field) != 0)
        i++;
    if (i == REFUSED_FIELDS_MAX)
        return false;
    if (i == r->fields)
        r->field[r->fields++].name = field;
    return r->field[i].kept++ < REFUSED_KEPT;
}

void refused_add(struct refused *r, const char *field, const struct rejected *letter)
{
    if (has_room(r, field))
        rejected_put(&r->list, letter);
    else
        rejected_put_unkept(&r->list, letter->stream);
}

void refused_close(struct refused *r)
{
    buffer_close(&r->list);
    *r = (struct refused){0};
}
