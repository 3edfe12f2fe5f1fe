/* ps/server/refused.h - the dead letters of one batch: what the door refused of it, for the log to keep.
 *
 * Bound    REFUSED_KEPT letters of a batch for each field at fault, so that a batch of one mistake shows the others that
 *          are in it; more are counted only.
 * Memory   owns the list until refused_close(). Threads: one. */
#ifndef TIDEMILL_PS_SERVER_REFUSED_H
#define TIDEMILL_PS_SERVER_REFUSED_H

#include "ps/state/rejected.h"

enum { REFUSED_KEPT = 16, REFUSED_FIELDS_MAX = 24 };

struct refused {
    struct buffer list; /* ps/state/rejected.h */
    struct {
        const char *name; /* of a field; constants of the program */
        uint32_t kept;
    } field[REFUSED_FIELDS_MAX];
    uint32_t fields;
};

/* Number, position, batch and producer of the letter are the log's business. */
void refused_add(struct refused *r, const char *field, const struct rejected *letter);
void refused_close(struct refused *r); /* {0} is fine */

#endif
