#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"

enum tm_code random_fill(void *out, size_t size, struct tm_error *err)
{
    CHECK(size <= RANDOM_FILL_MAX); /* so many come whole */
    if (getrandom(out, size, 0) != (ssize_t)size)
        return tm_error_set(err, TM_IO, "getrandom: %s", strerrordesc_np(errno));
    return TM_OK;
}
