#include "learner/packed.h"

#include <math.h>
#include <string.h>

#include "learner/vector.h"

/* What rounding may add to the bound on a covariance. */
static const double slack = 1e-9;

void packed_multiply(const double *a, const double *x, uint32_t n, double *out)
{
    for (uint32_t i = 0; i < n; a += ++i) { /* each row is read once: as a row, and as the column it mirrors */
        out[i] = vector_dot(a, x, i) + a[i] * x[i];
        vector_add(out, x[i], a, i);
    }
}

void packed_add_square(double *a, double c, const double *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; a += ++i)
        vector_add(a, c * x[i], x, i + 1);
}

void packed_drop_covariances(double *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; a += ++i)
        memset(a, 0, i * sizeof *a);
}

bool packed_plausible(const double *a, uint32_t n)
{
    const double *row = a;
    for (uint32_t i = 0; i < n; row += ++i) {
        if (!(row[i] > 0 && isfinite(row[i])))
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (!(row[j] * row[j] <= row[i] * a[packed_diagonal(j)] * (1 + slack)))
                return false;
    }
    return true;
}
