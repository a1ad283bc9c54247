/* pack.h -- between one code a byte and 6- or 4-bit codes packed along a row, the first in the low bits.
 *
 * n codes are ceil(n bits / 8) bytes, the last padded with zero bits; nothing beyond is read or written.
 */
#ifndef PQK_CONVERT_PACK_H
#define PQK_CONVERT_PACK_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "core/macros.h"

static inline size_t packed_bytes(size_t n, int bits) { return (n * (size_t)bits + 7) / 8; }

static PQK_NOINLINE void pack_codes(char *to, const uint8_t *codes, size_t n, int bits)
{
    uint8_t *out = (uint8_t *)to;
    const size_t whole = n / 4;
    if (bits == 4) {
        for (size_t i = 0; i < 2 * whole; ++i) out[i] = (uint8_t)((codes[2 * i] & 15) | codes[2 * i + 1] << 4);
    } else {
        for (size_t i = 0; i < whole; ++i) { /* aaaaaabb bbbbcccc ccdddddd, the first lowest */
            const uint8_t *c = codes + 4 * i;
            out[3 * i] = (uint8_t)((c[0] & 63) | c[1] << 6);
            out[3 * i + 1] = (uint8_t)((c[1] & 63) >> 2 | c[2] << 4);
            out[3 * i + 2] = (uint8_t)((c[2] & 63) >> 4 | c[3] << 2);
        }
    }
    uint32_t rest = 0;
    for (size_t i = 4 * whole; i < n; ++i) rest |= (uint32_t)(codes[i] & ((1 << bits) - 1)) << (i % 4 * (size_t)bits);
    for (size_t i = packed_bytes(4 * whole, bits); i < packed_bytes(n, bits); ++i, rest >>= 8) out[i] = (uint8_t)rest;
}

static PQK_NOINLINE void unpack_codes(uint8_t *codes, const char *from, size_t n, int bits)
{
    const uint8_t *in = (const uint8_t *)from;
    const size_t whole = n / 4;
    if (bits == 4) {
        for (size_t i = 0; i < 2 * whole; ++i) {
            codes[2 * i] = in[i] & 15;
            codes[2 * i + 1] = in[i] >> 4;
        }
    } else {
        for (size_t i = 0; i < whole; ++i) {
            const uint8_t *b = in + 3 * i;
            uint8_t *c = codes + 4 * i;
            c[0] = b[0] & 63;
            c[1] = (uint8_t)((b[0] >> 6 | b[1] << 2) & 63);
            c[2] = (uint8_t)((b[1] >> 4 | b[2] << 4) & 63);
            c[3] = b[2] >> 2;
        }
    }
    uint32_t rest = 0;
    const size_t at = packed_bytes(4 * whole, bits), end = packed_bytes(n, bits);
    for (size_t i = at; i < end; ++i) rest |= (uint32_t)in[i] << (8 * (i - at));
    for (size_t i = 4 * whole; i < n; ++i, rest >>= bits) codes[i] = (uint8_t)(rest & ((1u << bits) - 1));
}

#endif
