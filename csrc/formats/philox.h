/* philox.h -- Philox4x32-10, a counter-based generator: the random number of an element is a function of its index.
 *
 * Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.  Key = seed, counter = index in
 * its low 64 bits; of the four words only the first is used, so that an element needs nothing but its own index.
 */
#ifndef PQK_PHILOX_H
#define PQK_PHILOX_H
#include <stdint.h>
#include "core/macros.h"

static PQK_INLINE uint32_t pqk_philox(uint64_t seed, uint64_t index)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    unrolled_for (int round = 0; round < 10; ++round) {
        const uint64_t a = (uint64_t)0xd2511f53u * c0, b = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9e3779b9u; /* golden ratio */
        k1 += 0xbb67ae85u; /* sqrt(3) - 1 */
    }
    return c0;
}

#endif
