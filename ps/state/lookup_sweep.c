#include "ps/state/lookup_sweep.h"

bool lookup_sweep_row(struct lookup_sweep *s, struct bytes stored, bool *bad)
{
    int64_t time;
    uint64_t position;
    *bad = !lookup_get_row(stored, &time, &position);
    if (*bad)
        return false;
    bool same = memcmp(stored.data, s->row, LOOKUP_KEY_SIZE) == 0;
    memcpy(s->row, stored.data, sizeof s->row);
    if (same && s->settled)
        return true;
    s->left = s->left || same;
    s->settled = time <= s->decided_before && position < s->synced;
    return false;
}
