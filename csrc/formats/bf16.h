/* bf16.h -- bfloat16: the upper half of a float32.
 *
 * Exact to float32; from float32 one rounding to nearest even.  A NaN keeps its sign and the top bits of its
 * payload and turns quiet.
 */
#ifndef PQK_BF16_H
#define PQK_BF16_H
#include <string.h>
#include "formats/f16.h"

/* Not (uint32_t)b << 16: where four of these feed four accumulators, GCC 12 for arm64 makes one SHLL of eight elements
 * and forgets its SHLL2. Little-endian, as all CPUs that have kernels here. */
static inline float pqk_bf16_to_f32(uint16_t b)
{
    const uint16_t halves[2] = {0, b};
    float x;
    memcpy(&x, halves, sizeof x);
    return x;
}

static inline uint16_t pqk_f32_to_bf16(float x)
{
    const uint32_t bits = pqk_f32_bits(x);
    if (x != x) return (uint16_t)((bits | 0x400000) >> 16);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
