/* canonical_nan.h -- one NaN for every machine: positive, quiet, no payload.
 *
 * Where arithmetic makes a NaN, x86 gives it a sign and ARM does not, and operand order decides whose payload stays.
 * Kernels whose parameters can lead there (they are not finite) pass over their results once more; it is rare.
 */
#ifndef PQK_CANONICAL_NAN_H
#define PQK_CANONICAL_NAN_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "core/macros.h"
#include "formats/f16.h"
#include "include/pyquantk.h"

static inline bool pqk_is_finite(float x) { return (pqk_f32_bits(x) & 0x7f800000) != 0x7f800000; }

/* All of n numbers, `step` apart? */
static PQK_NOINLINE bool pqk_all_finite(const float *x, ptrdiff_t step, size_t n)
{
    int odd = 0;
    if (step == 1) /* vectors, if the compiler can */
        for (size_t i = 0; i < n; ++i) odd |= !pqk_is_finite(x[i]);
    else
        for (size_t i = 0; i < n; ++i, x += step) odd |= !pqk_is_finite(*x);
    return !odd;
}

/* n elements of F32, F16 or BF16 at any alignment. */
static PQK_NOINLINE void pqk_canonical_nans(char *y, size_t n, pqk_type type)
{
    if (type == PQK_F32) {
        for (size_t i = 0; i < n; ++i, y += 4) {
            uint32_t bits;
            memcpy(&bits, y, sizeof bits);
            if ((bits & 0x7fffffff) > 0x7f800000) bits = 0x7fc00000;
            memcpy(y, &bits, sizeof bits);
        }
        return;
    }
    const uint16_t infinity = type == PQK_F16 ? 0x7c00 : 0x7f80, nan = type == PQK_F16 ? 0x7e00 : 0x7fc0;
    for (size_t i = 0; i < n; ++i, y += 2) {
        uint16_t bits;
        memcpy(&bits, y, sizeof bits);
        if ((bits & 0x7fff) > infinity) bits = nan;
        memcpy(y, &bits, sizeof bits);
    }
}

#endif
