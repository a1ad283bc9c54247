/* vec_neon.h -- the 128-bit spelling of the vocabulary in simd/README.md, for every 64-bit ARM CPU: nothing beyond
 * base AdvSIMD (no half-precision or bfloat16 arithmetic).
 *
 * Pointers need no alignment, so memory is read and written as bytes and reinterpreted.  MSVC: no brace
 * initialisers for vectors, all of which are one union there. */
#ifndef PQK_VEC_NEON_H
#define PQK_VEC_NEON_H
#if defined(_MSC_VER) && !defined(__clang__)
#include <arm64_neon.h>
#else
#include <arm_neon.h>
#endif
#include <stdint.h>
#include <string.h>
#include "core/macros.h"

#define VL              4 /* float lanes in one register */
#define PQK_ROUND_FALLS 0 /* vs32_round(x) is INT32_MIN where x is NaN or too low for an integer */
typedef float32x4_t vf32;
typedef int32x4_t vs32;
typedef int16x8_t vs16; /* two vs32 narrowed, in order: a0-3 b0-3 */
typedef uint8x16_t v8;  /* two vs16 narrowed, in order: a0-3 b0-3 c0-3 d0-3 */

static PQK_INLINE uint8x16_t load_128(const void *p) { return vld1q_u8((const uint8_t *)p); }
static PQK_INLINE uint8x8_t load_64(const void *p) { return vld1_u8((const uint8_t *)p); }
static PQK_INLINE uint8x8_t load_32(const void *p) /* bytes 0-3, twice */
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return vreinterpret_u8_u32(vdup_n_u32(x));
}
static PQK_INLINE void store_128(void *p, uint8x16_t x) { vst1q_u8((uint8_t *)p, x); }
static PQK_INLINE void store_64(void *p, uint8x8_t x) { vst1_u8((uint8_t *)p, x); }
static PQK_INLINE void store_32(void *p, uint32_t x) { memcpy(p, &x, sizeof x); }

#if defined(_MSC_VER) && !defined(__clang__) /* knows no reinterpretation of float16x4_t, and needs none */
static PQK_INLINE vf32 f16_to_f32(uint8x8_t x) { return vcvt_f32_f16(x); }
static PQK_INLINE uint8x8_t f32_to_f16(vf32 x) { return vcvt_f16_f32(x); }
#else
static PQK_INLINE vf32 f16_to_f32(uint8x8_t x) { return vcvt_f32_f16(vreinterpret_f16_u8(x)); }
static PQK_INLINE uint8x8_t f32_to_f16(vf32 x) { return vreinterpret_u8_f16(vcvt_f16_f32(x)); }
#endif
static PQK_INLINE vf32 bf16_to_f32(uint8x8_t x)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vreinterpret_u16_u8(x)), 16));
}
static PQK_INLINE vf32 vf32_load_f32(const void *p) { return vreinterpretq_f32_u8(load_128(p)); }
static PQK_INLINE vf32 vf32_load_f16(const void *p) { return f16_to_f32(load_64(p)); }
static PQK_INLINE vf32 vf32_load_bf16(const void *p) { return bf16_to_f32(load_64(p)); }

static PQK_INLINE uint8x8_t load_16_part(const void *p, int m)
{
    uint16_t padded[VL] = {0};
    memcpy(padded, p, (size_t)m * sizeof *padded);
    return load_64(padded);
}
static PQK_INLINE vf32 vf32_load_f32_part(const void *p, int m)
{
    float padded[VL] = {0};
    memcpy(padded, p, (size_t)m * sizeof *padded);
    return vf32_load_f32(padded);
}
static PQK_INLINE vf32 vf32_load_f16_part(const void *p, int m) { return f16_to_f32(load_16_part(p, m)); }
static PQK_INLINE vf32 vf32_load_bf16_part(const void *p, int m) { return bf16_to_f32(load_16_part(p, m)); }

static PQK_INLINE void vf32_load_zip_bf16(vf32 x[2], const void *p) /* in order here */
{
    const uint8x16_t both = load_128(p);
    x[0] = bf16_to_f32(vget_low_u8(both));
    x[1] = bf16_to_f32(vget_high_u8(both));
}

static PQK_INLINE uint8x8_t f32_to_bf16(vf32 x)
{
    /* Adds half a unit, less one where the kept part is even; BFCVTN is no part of base AdvSIMD. */
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7fff));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vreinterpret_u8_u16(vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16));
}
static PQK_INLINE void vf32_store_f32(void *p, vf32 x) { store_128(p, vreinterpretq_u8_f32(x)); }
static PQK_INLINE void vf32_store_f16(void *p, vf32 x) { store_64(p, f32_to_f16(x)); }
static PQK_INLINE void vf32_store_bf16(void *p, vf32 x) { store_64(p, f32_to_bf16(x)); }
/* Two registers, neither with a NaN: half a unit, less one where the kept part is even, cannot overflow then. */
static PQK_INLINE uint8x8_t round_to_bf16(vf32 x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    return vreinterpret_u8_u16(vaddhn_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7fff))); /* the upper half of the sum */
}
static PQK_INLINE void vf32_store2_bf16(char *p, vf32 a, vf32 b)
{
    store_128(p, vcombine_u8(round_to_bf16(a), round_to_bf16(b)));
}

/* Through a copy on the stack: NEON has no masked store. */
static PQK_INLINE void store_part(void *p, size_t bytes, uint8x16_t x)
{
    uint8_t padded[16];
    store_128(padded, x);
    memcpy(p, padded, bytes);
}
static PQK_INLINE void vf32_store_f32_part(void *p, int m, vf32 x)
{
    store_part(p, (size_t)m * 4, vreinterpretq_u8_f32(x));
}
static PQK_INLINE void vf32_store_f16_part(void *p, int m, vf32 x)
{
    const uint8x8_t halves = f32_to_f16(x);
    store_part(p, (size_t)m * 2, vcombine_u8(halves, halves));
}
static PQK_INLINE void vf32_store2_zip_bf16(char *p, vf32 a, vf32 b) { vf32_store2_bf16(p, a, b); }
static PQK_INLINE void vf32_store_bf16_part(void *p, int m, vf32 x)
{
    const uint8x8_t halves = f32_to_bf16(x);
    store_part(p, (size_t)m * 2, vcombine_u8(halves, halves));
}

static PQK_INLINE vf32 vf32_set1(float x) { return vdupq_n_f32(x); }
static PQK_INLINE vf32 vf32_add(vf32 a, vf32 b) { return vaddq_f32(a, b); }
static PQK_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return vsubq_f32(a, b); }
static PQK_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return vmulq_f32(a, b); }
static PQK_INLINE vf32 vf32_div(vf32 a, vf32 b) { return vdivq_f32(a, b); }
static PQK_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return vfmaq_f32(c, a, b); }
static PQK_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) { return vfmsq_f32(c, a, b); }

/* The second operand when one is NaN: FMIN would give NaN, and so would FMINNM where that NaN is signaling. */
static PQK_INLINE vf32 vf32_min(vf32 a, vf32 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static PQK_INLINE vf32 vf32_max(vf32 a, vf32 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static PQK_INLINE float vf32_reduce_min(vf32 x) { return vminvq_f32(x); }
static PQK_INLINE float vf32_reduce_max(vf32 x) { return vmaxvq_f32(x); }

static PQK_INLINE vf32 vf32_clamp(vf32 x, vf32 lo, vf32 hi) { return vminq_f32(vf32_max(x, lo), hi); }
/* FCVTNS makes 0 of a NaN, so nothing may be left to it. */
static PQK_INLINE vf32 vf32_guard(vf32 x, vf32 lo, vf32 hi) { return vf32_clamp(x, lo, hi); }

static PQK_INLINE vf32 vf32_trunc(vf32 x) { return vrndq_f32(x); }
static PQK_INLINE vf32 vf32_copysign(vf32 magnitude, vf32 sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000), sign, magnitude);
}
static PQK_INLINE vf32 vf32_canonical(vf32 x)
{
    return vbslq_f32(vceqq_f32(x, x), x, vreinterpretq_f32_u32(vdupq_n_u32(0x7fc00000)));
}

static PQK_INLINE vs32 vs32_set1(int32_t x) { return vdupq_n_s32(x); }
static PQK_INLINE vs32 vs32_load(const int32_t *p) { return vld1q_s32(p); }
static PQK_INLINE void vs32_store(int32_t *p, vs32 x) { vst1q_s32(p, x); }
static PQK_INLINE vs32 vs32_add(vs32 a, vs32 b) { return vaddq_s32(a, b); }
static PQK_INLINE vs32 vs32_sub(vs32 a, vs32 b) { return vsubq_s32(a, b); }
static PQK_INLINE vs32 vs32_mul(vs32 a, vs32 b) { return vmulq_s32(a, b); }
static PQK_INLINE vs32 vs32_max(vs32 a, vs32 b) { return vmaxq_s32(a, b); }
static PQK_INLINE vs32 vs32_min(vs32 a, vs32 b) { return vminq_s32(a, b); }
static PQK_INLINE vs32 vs32_round(vf32 x) { return vcvtnq_s32_f32(x); }
static PQK_INLINE vs32 vs32_truncate(vf32 x) { return vcvtq_s32_f32(x); }
static PQK_INLINE vf32 vf32_from_s32(vs32 x) { return vcvtq_f32_s32(x); }
static PQK_INLINE vs32 vs32_bits(vf32 x) { return vreinterpretq_s32_f32(x); }
static PQK_INLINE vf32 vf32_from_bits(vs32 x) { return vreinterpretq_f32_s32(x); }
static PQK_INLINE vs32 vs32_and(vs32 a, vs32 b) { return vandq_s32(a, b); }
/* 2^n as a float, -126 <= n <= 127 */
static PQK_INLINE vf32 vf32_exp2i(vs32 n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
static PQK_INLINE vs32 vs32_or(vs32 a, vs32 b) { return vorrq_s32(a, b); }

/* -1 in the lanes where it holds, 0 elsewhere. */
static PQK_INLINE vs32 vs32_equal(vs32 a, vs32 b) { return vreinterpretq_s32_u32(vceqq_s32(a, b)); }
static PQK_INLINE vs32 vs32_not_between(vf32 x, vf32 lo, vf32 hi)
{
    return vreinterpretq_s32_u32(vmvnq_u32(vandq_u32(vcgeq_f32(x, lo), vcleq_f32(x, hi))));
}
static PQK_INLINE int vs32_any(vs32 x) { return vmaxvq_u32(vreinterpretq_u32_s32(x)) != 0; }

/* Fixed point.  SQDMULH rounds x m / 2^31 down, SQRDMULH half up; SRSHL by -n divides by 2^n, half up. */
static PQK_INLINE vs32 vs32_shl_sat(vs32 x, vs32 n) { return vqshlq_s32(x, n); }
static PQK_INLINE vs32 vs32_shr_away(vs32 x, vs32 n)
{
    /* One less where x < 0 and n > 0: half up becomes half away from zero.  INT32_MIN has no fraction and stays. */
    const int32x4_t back = vnegq_s32(n);
    return vrshlq_s32(vqaddq_s32(x, vshrq_n_s32(vandq_s32(x, back), 31)), back);
}
static PQK_INLINE vs32 vs32_mul_high(vs32 x, vs32 m) { return vqrdmulhq_s32(x, m); }
static PQK_INLINE vs32 vs32_mul_shift_far(vs32 x, vs32 m, vs32 n)
{
    return vrshlq_s32(vqdmulhq_s32(x, m), vnegq_s32(n)); /* a bit is still cut off: rounding down before is harmless */
}
static PQK_INLINE vs32 vs32_mul_shift(vs32 x, vs32 m, vs32 n)
{
    return vbslq_s32(vceqzq_s32(n), vs32_mul_high(x, m), vs32_mul_shift_far(x, m, n));
}

/* Narrowing, with saturation. */
static PQK_INLINE vs16 vs16_pack2(vs32 a, vs32 b) { return vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)); }
static PQK_INLINE vs16 vu16_pack2(vs32 a, vs32 b)
{
    return vreinterpretq_s16_u16(vcombine_u16(vqmovun_s32(a), vqmovun_s32(b)));
}
static PQK_INLINE vs16 vs16_adds(vs16 a, vs16 b) { return vqaddq_s16(a, b); }
static PQK_INLINE vs16 vs16_load(const void *p) { return vreinterpretq_s16_u8(load_128(p)); }
static PQK_INLINE vs16 vs16_min(vs16 a, vs16 b) { return vminq_s16(a, b); }
static PQK_INLINE vs16 vs16_max(vs16 a, vs16 b) { return vmaxq_s16(a, b); }
static PQK_INLINE int vs16_any_above(vs16 a, vs16 b) { return vmaxvq_u16(vcgtq_s16(a, b)) != 0; }
static PQK_INLINE vs16 vs16_sortable(vs16 x)
{
    return veorq_s16(x, vandq_s16(vshrq_n_s16(x, 15), vdupq_n_s16(INT16_MAX)));
}
static PQK_INLINE v8 vs8_pack2(vs16 ab, vs16 cd)
{
    return vreinterpretq_u8_s8(vcombine_s8(vqmovn_s16(ab), vqmovn_s16(cd)));
}
static PQK_INLINE v8 vu8_pack2(vs16 ab, vs16 cd) { return vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd)); }
static PQK_INLINE v8 vs8_pack2_zip(vs16 ab, vs16 cd) { return vs8_pack2(ab, cd); }
static PQK_INLINE v8 vu8_pack2_zip(vs16 ab, vs16 cd) { return vu8_pack2(ab, cd); }
static PQK_INLINE v8 v8_equal4(const vs32 a[4], const vs32 b[4])
{
    const uint16x8_t x = vcombine_u16(vmovn_u32(vceqq_s32(a[0], b[0])), vmovn_u32(vceqq_s32(a[1], b[1])));
    const uint16x8_t y = vcombine_u16(vmovn_u32(vceqq_s32(a[2], b[2])), vmovn_u32(vceqq_s32(a[3], b[3])));
    return vandq_u8(vcombine_u8(vmovn_u16(x), vmovn_u16(y)), vdupq_n_u8(1));
}
static PQK_INLINE v8 v8_and(v8 x, int8_t mask) { return vandq_u8(x, vdupq_n_u8((uint8_t)mask)); }
static PQK_INLINE v8 v8_xor(v8 x, int8_t bits) { return veorq_u8(x, vdupq_n_u8((uint8_t)bits)); }

static PQK_INLINE void v16_store(void *p, vs16 ab) { store_128(p, vreinterpretq_u8_s16(ab)); }
static PQK_INLINE void v16_store_rows(char *const p[2], vs16 ab)
{
    const uint8x16_t x = vreinterpretq_u8_s16(ab);
    store_64(p[0], vget_low_u8(x));
    store_64(p[1], vget_high_u8(x));
}
static PQK_INLINE void v8_store(void *p, v8 x) { store_128(p, x); }
static PQK_INLINE void v8_store_rows(char *const p[4], v8 x)
{
    const uint32x4_t rows = vreinterpretq_u32_u8(x);
    store_32(p[0], vgetq_lane_u32(rows, 0));
    store_32(p[1], vgetq_lane_u32(rows, 1));
    store_32(p[2], vgetq_lane_u32(rows, 2));
    store_32(p[3], vgetq_lane_u32(rows, 3));
}
static PQK_INLINE void v8_store_part(void *p, int bytes, v8 x) { store_part(p, (size_t)bytes, x); }

/* Elements of 4 (or 2) bits, the first lowest: SLI shifts the odd element over the bits above the even one, and
 * what an element has above its own bits goes with it. */
static PQK_INLINE void v4_store(void *p, v8 x)
{
    const uint16x8_t pairs = vreinterpretq_u16_u8(x);
    store_64(p, vsli_n_u8(vmovn_u16(pairs), vshrn_n_u16(pairs, 8), 4));
}
static PQK_INLINE void v2_store(void *p, v8 x)
{
    const uint16x8_t pairs = vreinterpretq_u16_u8(x);
    const uint8x8_t nibbles = vsli_n_u8(vmovn_u16(pairs), vshrn_n_u16(pairs, 8), 2);
    const uint8x8_t bytes = vsli_n_u8(vuzp1_u8(nibbles, nibbles), vuzp2_u8(nibbles, nibbles), 4); /* 0-3 0-3 */
    store_32(p, vget_lane_u32(vreinterpret_u32_u8(bytes), 0));
}

/* Widening. */
static PQK_INLINE vs32 vs32_load_s8(const void *p)
{
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_32(p)))));
}
static PQK_INLINE vs32 vs32_load_u8(const void *p)
{
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_32(p)))));
}
static PQK_INLINE vs32 vs32_load_s16(const void *p) { return vmovl_s16(vreinterpret_s16_u8(load_64(p))); }
static PQK_INLINE vs32 vs32_load_u16(const void *p)
{
    return vreinterpretq_s32_u32(vmovl_u16(vreinterpret_u16_u8(load_64(p))));
}

/* 4 VL bytes; elements of 4 (or 2) bits each come to the low bits of a byte of their own. */
static PQK_INLINE v8 v8_load(const void *p) { return load_128(p); }
static PQK_INLINE v8 v8_load_nibbles(const void *p)
{
    const uint8x8_t x = load_64(p), low = vand_u8(x, vdup_n_u8(15)), high = vshr_n_u8(x, 4);
    return vcombine_u8(vzip1_u8(low, high), vzip2_u8(low, high));
}
static PQK_INLINE v8 v8_load_crumbs(const void *p)
{
    const uint8x8_t x = load_32(p), twice = vzip1_u8(x, x); /* 00112233 */
    const uint8x16_t fourfold = vcombine_u8(vzip1_u8(twice, twice), vzip2_u8(twice, twice));
    const int8x16_t counts = vreinterpretq_s8_u32(vdupq_n_u32(0xfafcfe00)); /* 0, -2, -4, -6: to the right */
    return vandq_u8(vshlq_u8(fourfold, counts), vdupq_n_u8(3));
}
/* Bytes v VL ... v VL + VL - 1. */
static PQK_INLINE vs32 vs32_from_u8(v8 x, int v)
{
    const uint16x8_t half = vmovl_u8(v < 2 ? vget_low_u8(x) : vget_high_u8(x));
    return vreinterpretq_s32_u32(vmovl_u16(v % 2 ? vget_high_u16(half) : vget_low_u16(half)));
}
#endif
