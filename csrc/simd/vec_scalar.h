/* vec_scalar.h -- the portable spelling of the vocabulary in simd/README.md: one lane.  It is the reference:
 * every other spelling returns its bits. */
#ifndef PQK_VEC_SCALAR_H
#define PQK_VEC_SCALAR_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "core/macros.h"
#include "formats/bf16.h"
#include "formats/f16.h"

#define VL              1
#define PQK_ROUND_FALLS 0 /* vs32_round(x) is INT32_MIN where x is NaN or too low for an integer */
typedef float vf32;
typedef int32_t vs32;
typedef struct {
    int16_t e[2];
} vs16;
typedef struct {
    uint8_t e[4];
} v8;

static PQK_INLINE uint16_t load_16(const void *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof x);
    return x;
}
static PQK_INLINE vf32 vf32_load_f32(const void *p)
{
    float x;
    memcpy(&x, p, sizeof x);
    return x;
}
static PQK_INLINE vf32 vf32_load_f16(const void *p) { return pqk_f16_to_f32(load_16(p)); }
static PQK_INLINE vf32 vf32_load_bf16(const void *p) { return pqk_bf16_to_f32(load_16(p)); }
static PQK_INLINE void vf32_load_zip_bf16(vf32 x[2], const void *p)
{
    x[0] = vf32_load_bf16(p);
    x[1] = vf32_load_bf16((const char *)p + 2);
}
/* m is 0 or 1 */
static PQK_INLINE vf32 vf32_load_f32_part(const void *p, int m) { return m ? vf32_load_f32(p) : 0; }
static PQK_INLINE vf32 vf32_load_f16_part(const void *p, int m) { return m ? vf32_load_f16(p) : 0; }
static PQK_INLINE vf32 vf32_load_bf16_part(const void *p, int m) { return m ? vf32_load_bf16(p) : 0; }

static PQK_INLINE void vf32_store_f32(void *p, vf32 x) { memcpy(p, &x, sizeof x); }
static PQK_INLINE void store_16(void *p, uint16_t x) { memcpy(p, &x, sizeof x); }
static PQK_INLINE void vf32_store_f16(void *p, vf32 x) { store_16(p, pqk_f32_to_f16(x)); }
static PQK_INLINE void vf32_store_bf16(void *p, vf32 x) { store_16(p, pqk_f32_to_bf16(x)); }
static PQK_INLINE void vf32_store2_bf16(char *p, vf32 a, vf32 b)
{
    vf32_store_bf16(p, a);
    vf32_store_bf16(p + 2, b);
}
static PQK_INLINE void vf32_store_f32_part(void *p, int m, vf32 x)
{
    if (m) vf32_store_f32(p, x);
}
static PQK_INLINE void vf32_store_f16_part(void *p, int m, vf32 x)
{
    if (m) vf32_store_f16(p, x);
}
static PQK_INLINE void vf32_store2_zip_bf16(char *p, vf32 a, vf32 b) { vf32_store2_bf16(p, a, b); }
static PQK_INLINE void vf32_store_bf16_part(void *p, int m, vf32 x)
{
    if (m) vf32_store_bf16(p, x);
}

static PQK_INLINE vf32 vf32_set1(float x) { return x; }
static PQK_INLINE vf32 vf32_add(vf32 a, vf32 b) { return a + b; }
static PQK_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return a - b; }
static PQK_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return a * b; }
static PQK_INLINE vf32 vf32_div(vf32 a, vf32 b) { return a / b; }
static PQK_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return fmaf(a, b, c); }
static PQK_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) { return fmaf(-a, b, c); }
static PQK_INLINE vf32 vf32_min(vf32 a, vf32 b) { return a < b ? a : b; }
static PQK_INLINE vf32 vf32_max(vf32 a, vf32 b) { return a > b ? a : b; }
static PQK_INLINE float vf32_reduce_min(vf32 x) { return x; }
static PQK_INLINE float vf32_reduce_max(vf32 x) { return x; }
static PQK_INLINE vf32 vf32_clamp(vf32 x, vf32 lo, vf32 hi) { return vf32_min(vf32_max(x, lo), hi); }
static PQK_INLINE vf32 vf32_guard(vf32 x, vf32 lo, vf32 hi) { return vf32_clamp(x, lo, hi); }
static PQK_INLINE vf32 vf32_trunc(vf32 x) { return truncf(x); }
static PQK_INLINE vf32 vf32_copysign(vf32 magnitude, vf32 sign) { return copysignf(magnitude, sign); }
static PQK_INLINE vf32 vf32_canonical(vf32 x) { return x != x ? pqk_f32_from_bits(0x7fc00000) : x; }

static PQK_INLINE vs32 vs32_set1(int32_t x) { return x; }
static PQK_INLINE vs32 vs32_load(const int32_t *p) { return *p; }
static PQK_INLINE void vs32_store(int32_t *p, vs32 x) { *p = x; }
static PQK_INLINE vs32 vs32_add(vs32 a, vs32 b) { return (vs32)((uint32_t)a + (uint32_t)b); }
static PQK_INLINE vs32 vs32_sub(vs32 a, vs32 b) { return (vs32)((uint32_t)a - (uint32_t)b); }
static PQK_INLINE vs32 vs32_mul(vs32 a, vs32 b) { return (vs32)((uint32_t)a * (uint32_t)b); }
static PQK_INLINE vs32 vs32_max(vs32 a, vs32 b) { return a > b ? a : b; }
static PQK_INLINE vs32 vs32_min(vs32 a, vs32 b) { return a < b ? a : b; }
static PQK_INLINE vs32 vs32_round(vf32 x) { return (vs32)rintf(x); }
static PQK_INLINE vs32 vs32_truncate(vf32 x) { return (vs32)x; }
static PQK_INLINE vf32 vf32_from_s32(vs32 x) { return (float)x; }
static PQK_INLINE vs32 vs32_bits(vf32 x) { return (vs32)pqk_f32_bits(x); }
static PQK_INLINE vf32 vf32_from_bits(vs32 x) { return pqk_f32_from_bits((uint32_t)x); }
static PQK_INLINE vs32 vs32_and(vs32 a, vs32 b) { return a & b; }
/* 2^n as a float, -126 <= n <= 127 */
static PQK_INLINE vf32 vf32_exp2i(vs32 n) { return pqk_f32_from_bits((uint32_t)(n + 127) << 23); }
static PQK_INLINE vs32 vs32_or(vs32 a, vs32 b) { return a | b; }
static PQK_INLINE vs32 vs32_equal(vs32 a, vs32 b) { return a == b ? -1 : 0; }
static PQK_INLINE vs32 vs32_not_between(vf32 x, vf32 lo, vf32 hi) { return lo <= x && x <= hi ? 0 : -1; }
static PQK_INLINE int vs32_any(vs32 x) { return x != 0; }

/* Fixed point; >> of a negative number is arithmetic with every compiler we know. */
static PQK_INLINE vs32 vs32_shl_sat(vs32 x, vs32 n)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << n);
    return wide < INT32_MIN ? INT32_MIN : wide > INT32_MAX ? INT32_MAX : (vs32)wide;
}
static PQK_INLINE vs32 vs32_shr_away(vs32 x, vs32 n)
{
    const vs32 mask = (vs32)(((uint32_t)1 << n) - 1), rest = x & mask;
    return (x >> n) + (rest > (mask >> 1) + (x < 0));
}
static PQK_INLINE vs32 vs32_mul_shift(vs32 x, vs32 m, vs32 n)
{
    return (vs32)(((int64_t)x * m + ((int64_t)1 << (30 + n))) >> (31 + n));
}
static PQK_INLINE vs32 vs32_mul_shift_far(vs32 x, vs32 m, vs32 n) { return vs32_mul_shift(x, m, n); }
static PQK_INLINE vs32 vs32_mul_high(vs32 x, vs32 m) { return vs32_mul_shift(x, m, 0); }

static PQK_INLINE int32_t saturate(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }
static PQK_INLINE vs16 vs16_pack2(vs32 a, vs32 b)
{
    return (vs16){
        {(int16_t)saturate(a, INT16_MIN, INT16_MAX), (int16_t)saturate(b, INT16_MIN, INT16_MAX)}
    };
}
static PQK_INLINE vs16 vu16_pack2(vs32 a, vs32 b)
{
    return (vs16){
        {(int16_t)saturate(a, 0, UINT16_MAX), (int16_t)saturate(b, 0, UINT16_MAX)}
    };
}
static PQK_INLINE vs16 vs16_adds(vs16 a, vs16 b) { return vs16_pack2(a.e[0] + b.e[0], a.e[1] + b.e[1]); }
static PQK_INLINE vs16 vs16_load(const void *p)
{
    vs16 x;
    memcpy(x.e, p, sizeof x.e);
    return x;
}
static PQK_INLINE vs16 vs16_min(vs16 a, vs16 b)
{
    for (int i = 0; i < 2; ++i) a.e[i] = b.e[i] < a.e[i] ? b.e[i] : a.e[i];
    return a;
}
static PQK_INLINE vs16 vs16_max(vs16 a, vs16 b)
{
    for (int i = 0; i < 2; ++i) a.e[i] = b.e[i] > a.e[i] ? b.e[i] : a.e[i];
    return a;
}
static PQK_INLINE int vs16_any_above(vs16 a, vs16 b) { return a.e[0] > b.e[0] || a.e[1] > b.e[1]; }
static PQK_INLINE vs16 vs16_sortable(vs16 x)
{
    for (int i = 0; i < 2; ++i) x.e[i] = (int16_t)(x.e[i] < 0 ? x.e[i] ^ INT16_MAX : x.e[i]);
    return x;
}
static PQK_INLINE v8 narrow_8(vs16 ab, vs16 cd, int32_t lo, int32_t hi)
{
    return (v8){
        {(uint8_t)saturate(ab.e[0], lo, hi), (uint8_t)saturate(ab.e[1], lo, hi), (uint8_t)saturate(cd.e[0], lo, hi),
         (uint8_t)saturate(cd.e[1], lo, hi)}
    };
}
static PQK_INLINE v8 vs8_pack2(vs16 ab, vs16 cd) { return narrow_8(ab, cd, INT8_MIN, INT8_MAX); }
static PQK_INLINE v8 vu8_pack2(vs16 ab, vs16 cd) { return narrow_8(ab, cd, 0, UINT8_MAX); }
static PQK_INLINE v8 vs8_pack2_zip(vs16 ab, vs16 cd) { return vs8_pack2(ab, cd); }
static PQK_INLINE v8 vu8_pack2_zip(vs16 ab, vs16 cd) { return vu8_pack2(ab, cd); }
static PQK_INLINE v8 v8_equal4(const vs32 a[4], const vs32 b[4])
{
    v8 x;
    for (int i = 0; i < 4; ++i) x.e[i] = a[i] == b[i];
    return x;
}
static PQK_INLINE v8 v8_and(v8 x, int8_t mask)
{
    for (int i = 0; i < 4; ++i) x.e[i] &= (uint8_t)mask;
    return x;
}
static PQK_INLINE v8 v8_xor(v8 x, int8_t bits)
{
    for (int i = 0; i < 4; ++i) x.e[i] ^= (uint8_t)bits;
    return x;
}
static PQK_INLINE void v16_store(void *p, vs16 ab) { memcpy(p, ab.e, sizeof ab.e); }
static PQK_INLINE void v16_store_rows(char *const p[2], vs16 ab)
{
    memcpy(p[0], &ab.e[0], sizeof ab.e[0]);
    memcpy(p[1], &ab.e[1], sizeof ab.e[1]);
}
static PQK_INLINE void v8_store(void *p, v8 x) { memcpy(p, x.e, sizeof x.e); }
static PQK_INLINE void v8_store_rows(char *const p[4], v8 x)
{
    for (int i = 0; i < 4; ++i) *p[i] = (char)x.e[i];
}
static PQK_INLINE void v8_store_part(void *p, int bytes, v8 x) { memcpy(p, x.e, (size_t)bytes); }
static PQK_INLINE void v4_store(void *p, v8 x)
{
    const uint8_t packed[2] = {(uint8_t)((x.e[0] & 15) | (x.e[1] & 15) << 4),
                               (uint8_t)((x.e[2] & 15) | (x.e[3] & 15) << 4)};
    memcpy(p, packed, sizeof packed);
}
static PQK_INLINE void v2_store(void *p, v8 x)
{
    *(uint8_t *)p = (uint8_t)((x.e[0] & 3) | (x.e[1] & 3) << 2 | (x.e[2] & 3) << 4 | (x.e[3] & 3) << 6);
}

static PQK_INLINE vs32 vs32_load_s8(const void *p) { return *(const int8_t *)p; }
static PQK_INLINE vs32 vs32_load_u8(const void *p) { return *(const uint8_t *)p; }
static PQK_INLINE vs32 vs32_load_s16(const void *p) { return (int16_t)load_16(p); }
static PQK_INLINE vs32 vs32_load_u16(const void *p) { return load_16(p); }
/* 4 VL bytes; elements of 4 (or 2) bits each come to the low bits of a byte of their own. */
static PQK_INLINE v8 v8_load(const void *p)
{
    v8 x;
    memcpy(x.e, p, sizeof x.e);
    return x;
}
static PQK_INLINE v8 v8_load_nibbles(const void *p)
{
    const uint8_t *from = p;
    v8 x;
    for (int i = 0; i < 4; ++i) x.e[i] = from[i / 2] >> 4 * (i % 2) & 15;
    return x;
}
static PQK_INLINE v8 v8_load_crumbs(const void *p)
{
    v8 x;
    for (int i = 0; i < 4; ++i) x.e[i] = *(const uint8_t *)p >> 2 * i & 3;
    return x;
}
static PQK_INLINE vs32 vs32_from_u8(v8 x, int v) { return x.e[v]; }
#endif
