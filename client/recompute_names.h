/* client/recompute_names.h - texts as numbers, so that events take little room and equal ids are equal numbers.
 *
 * Numbers  from 1 on, in the order in which texts came; 0 is no text.
 * Memory   each text once, 12 bytes and 8 of index a text beside it; names_close() ends it. Threads: one. */
#ifndef TIDEMILL_CLIENT_RECOMPUTE_NAMES_H
#define TIDEMILL_CLIENT_RECOMPUTE_NAMES_H

#include "base/bytes.h"

struct names {
    struct buffer text;
    struct name_place {
        uint64_t at;
        uint32_t size;
    } * place;
    uint32_t count, capacity;
    uint32_t *index; /* number by hash, open addressing; 0: free; twice the capacity */
};

void names_close(struct names *n); /* {0} is fine */

uint32_t names_number(struct names *n, struct bytes text); /* data NULL: 0 */
struct bytes names_text(const struct names *n, uint32_t number);
size_t names_memory(const struct names *n);

#endif
