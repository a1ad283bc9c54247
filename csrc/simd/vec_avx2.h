/* vec_avx2.h -- the 256-bit spelling of the vocabulary in simd/README.md. */
#ifndef PQK_VEC_AVX2_H
#define PQK_VEC_AVX2_H
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include "core/macros.h"

#define VL              8 /* float lanes in one register */
#define PQK_ROUND_FALLS 1 /* vs32_round(x) is INT32_MIN where x is NaN or too low for an integer */
typedef __m256 vf32;
typedef __m256i vs32;
typedef __m256i vs16; /* two vs32 narrowed: a0-3 b0-3 | a4-7 b4-7 */
typedef __m256i v8;   /* two vs16 narrowed, in order: a0-7 b0-7 c0-7 d0-7 */

static PQK_INLINE __m128i load_128(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static PQK_INLINE __m256i load_256(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static PQK_INLINE __m128i load_64(const void *p) { return _mm_loadl_epi64((const __m128i *)p); }

static PQK_INLINE vf32 bf16_to_f32(__m128i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
static PQK_INLINE vf32 vf32_load_f32(const void *p) { return _mm256_loadu_ps((const float *)p); }
static PQK_INLINE vf32 vf32_load_f16(const void *p) { return _mm256_cvtph_ps(load_128(p)); }
static PQK_INLINE vf32 vf32_load_bf16(const void *p) { return bf16_to_f32(load_128(p)); }
/* Interleaving with zeros widens; a half of each 128-bit lane goes to either register. */
static PQK_INLINE void vf32_load_zip_bf16(vf32 x[2], const void *p)
{
    const __m256i bits = load_256(p), zero = _mm256_setzero_si256();
    x[0] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, bits));
    x[1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, bits));
}

/* The first m lanes, the others 0: VMASKMOVPS does not touch the memory of masked lanes. */
static PQK_INLINE __m256i first_lanes(int m)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(m), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static PQK_INLINE __m128i load_16_part(const void *p, int m)
{
    uint16_t padded[VL] = {0};
    memcpy(padded, p, (size_t)m * sizeof *padded);
    return load_128(padded);
}
static PQK_INLINE vf32 vf32_load_f32_part(const void *p, int m)
{
    return _mm256_maskload_ps((const float *)p, first_lanes(m));
}
static PQK_INLINE vf32 vf32_load_f16_part(const void *p, int m) { return _mm256_cvtph_ps(load_16_part(p, m)); }
static PQK_INLINE vf32 vf32_load_bf16_part(const void *p, int m) { return bf16_to_f32(load_16_part(p, m)); }

static PQK_INLINE __m128i f32_to_f16(vf32 x)
{
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static PQK_INLINE __m128i f32_to_bf16(vf32 x)
{
    /* Adds half a unit, less one where the kept part is even; a NaN keeps its top bits and turns quiet. */
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i all = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m256i narrow = _mm256_packus_epi32(all, all); /* 0-3 0-3 | 4-7 4-7 */
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(narrow, 0x08));
}
static PQK_INLINE void vf32_store_f32(void *p, vf32 x) { _mm256_storeu_ps((float *)p, x); }
static PQK_INLINE void vf32_store_f16(void *p, vf32 x) { _mm_storeu_si128((__m128i *)p, f32_to_f16(x)); }
static PQK_INLINE void vf32_store_bf16(void *p, vf32 x) { _mm_storeu_si128((__m128i *)p, f32_to_bf16(x)); }
/* Two registers, neither with a NaN: half a unit, less one where the kept part is even, cannot overflow then. */
static PQK_INLINE __m256i round_to_bf16(vf32 x)
{
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
}
static PQK_INLINE void vf32_store2_bf16(char *p, vf32 a, vf32 b)
{
    const __m256i x = _mm256_packus_epi32(round_to_bf16(a), round_to_bf16(b)); /* a0-3 b0-3 | a4-7 b4-7 */
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(x, 0xd8));
}
static PQK_INLINE void vf32_store_f32_part(void *p, int m, vf32 x)
{
    _mm256_maskstore_ps((float *)p, first_lanes(m), x);
}
static PQK_INLINE void store_16_part(void *p, int m, __m128i x)
{
    uint16_t padded[VL];
    _mm_storeu_si128((__m128i *)padded, x);
    memcpy(p, padded, (size_t)m * sizeof *padded);
}
static PQK_INLINE void vf32_store_f16_part(void *p, int m, vf32 x) { store_16_part(p, m, f32_to_f16(x)); }
static PQK_INLINE void vf32_store2_zip_bf16(char *p, vf32 a, vf32 b)
{
    _mm256_storeu_si256((__m256i *)p, _mm256_packus_epi32(round_to_bf16(a), round_to_bf16(b)));
}
static PQK_INLINE void vf32_store_bf16_part(void *p, int m, vf32 x) { store_16_part(p, m, f32_to_bf16(x)); }

static PQK_INLINE vf32 vf32_set1(float x) { return _mm256_set1_ps(x); }
static PQK_INLINE vf32 vf32_add(vf32 a, vf32 b) { return _mm256_add_ps(a, b); }
static PQK_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return _mm256_sub_ps(a, b); }
static PQK_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return _mm256_mul_ps(a, b); }
static PQK_INLINE vf32 vf32_div(vf32 a, vf32 b) { return _mm256_div_ps(a, b); }
static PQK_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return _mm256_fmadd_ps(a, b, c); }
static PQK_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) { return _mm256_fnmadd_ps(a, b, c); }

/* MAXPS and MINPS return their second operand when one is NaN. */
static PQK_INLINE vf32 vf32_min(vf32 a, vf32 b) { return _mm256_min_ps(a, b); }
static PQK_INLINE vf32 vf32_max(vf32 a, vf32 b) { return _mm256_max_ps(a, b); }
static PQK_INLINE float vf32_reduce_min(vf32 x)
{
    __m128 y = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_min_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_min_ss(y, _mm_movehdup_ps(y)));
}
static PQK_INLINE float vf32_reduce_max(vf32 x)
{
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}
static PQK_INLINE vf32 vf32_clamp(vf32 x, vf32 lo, vf32 hi) { return _mm256_min_ps(_mm256_max_ps(x, lo), hi); }
static PQK_INLINE vf32 vf32_guard(vf32 x, vf32 lo, vf32 hi) { return (void)lo, _mm256_min_ps(hi, x); }

static PQK_INLINE vf32 vf32_trunc(vf32 x) { return _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
static PQK_INLINE vf32 vf32_copysign(vf32 magnitude, vf32 sign) /* magnitude >= 0 */
{
    return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}
static PQK_INLINE vf32 vf32_canonical(vf32 x)
{
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
    return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static PQK_INLINE vs32 vs32_set1(int32_t x) { return _mm256_set1_epi32(x); }
static PQK_INLINE vs32 vs32_load(const int32_t *p) { return load_256(p); }
static PQK_INLINE void vs32_store(int32_t *p, vs32 x) { _mm256_storeu_si256((__m256i *)p, x); }
static PQK_INLINE vs32 vs32_add(vs32 a, vs32 b) { return _mm256_add_epi32(a, b); }
static PQK_INLINE vs32 vs32_sub(vs32 a, vs32 b) { return _mm256_sub_epi32(a, b); }
static PQK_INLINE vs32 vs32_mul(vs32 a, vs32 b) { return _mm256_mullo_epi32(a, b); }
static PQK_INLINE vs32 vs32_max(vs32 a, vs32 b) { return _mm256_max_epi32(a, b); }
static PQK_INLINE vs32 vs32_min(vs32 a, vs32 b) { return _mm256_min_epi32(a, b); }
static PQK_INLINE vs32 vs32_round(vf32 x) { return _mm256_cvtps_epi32(x); }
static PQK_INLINE vs32 vs32_truncate(vf32 x) { return _mm256_cvttps_epi32(x); }
static PQK_INLINE vf32 vf32_from_s32(vs32 x) { return _mm256_cvtepi32_ps(x); }
static PQK_INLINE vs32 vs32_bits(vf32 x) { return _mm256_castps_si256(x); }
static PQK_INLINE vf32 vf32_from_bits(vs32 x) { return _mm256_castsi256_ps(x); }
static PQK_INLINE vs32 vs32_and(vs32 a, vs32 b) { return _mm256_and_si256(a, b); }
/* 2^n as a float, -126 <= n <= 127 */
static PQK_INLINE vf32 vf32_exp2i(vs32 n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
static PQK_INLINE vs32 vs32_or(vs32 a, vs32 b) { return _mm256_or_si256(a, b); }

/* -1 in the lanes where it holds, 0 elsewhere. */
static PQK_INLINE vs32 vs32_equal(vs32 a, vs32 b) { return _mm256_cmpeq_epi32(a, b); }
static PQK_INLINE vs32 vs32_not_between(vf32 x, vf32 lo, vf32 hi)
{
    return _mm256_castps_si256(_mm256_or_ps(_mm256_cmp_ps(x, lo, _CMP_NGE_UQ), _mm256_cmp_ps(x, hi, _CMP_NLE_UQ)));
}
static PQK_INLINE int vs32_any(vs32 x) { return !_mm256_testz_si256(x, x); }

/* Fixed point.  VPMULDQ multiplies the even lanes to 64 bits; the odd ones are brought down for it. */
static PQK_INLINE vs32 vs32_shl_sat(vs32 x, vs32 n)
{
    const __m256i y = _mm256_sllv_epi32(x, n), fits = _mm256_cmpeq_epi32(_mm256_srav_epi32(y, n), x);
    const __m256i limit = _mm256_xor_si256(_mm256_srai_epi32(x, 31), _mm256_set1_epi32(INT32_MAX));
    return _mm256_blendv_epi8(limit, y, fits);
}
static PQK_INLINE vs32 vs32_shr_away(vs32 x, vs32 n)
{
    const __m256i one = _mm256_set1_epi32(1), mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, n), one);
    const __m256i half = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1), _mm256_srai_epi32(x, 31));
    return _mm256_sub_epi32(_mm256_srav_epi32(x, n), _mm256_cmpgt_epi32(_mm256_and_si256(x, mask), half));
}
static PQK_INLINE __m256i odd_lanes(__m256i x) { return _mm256_srli_epi64(x, 32); } /* into the even ones */
static PQK_INLINE vs32 vs32_mul_high(vs32 x, vs32 m)
{
    const __m256i half = _mm256_set1_epi64x(1 << 30);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, m), half);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(odd_lanes(x), odd_lanes(m)), half);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_add_epi64(odd, odd), 0xaa);
}
/* There is no arithmetic shift of 64 bits: with 2^63 added before and 2^63 / 2^(31 + n) subtracted after, the logical
 * one does it. */
static PQK_INLINE __m256i mul_shift_even(__m256i x, __m256i m, __m256i n)
{
    const __m256i half = _mm256_sllv_epi64(_mm256_set1_epi64x(1), _mm256_add_epi64(n, _mm256_set1_epi64x(30)));
    const __m256i bias = _mm256_xor_si256(half, _mm256_set1_epi64x(INT64_MIN));
    return _mm256_srlv_epi64(_mm256_add_epi64(_mm256_mul_epi32(x, m), bias),
                             _mm256_add_epi64(n, _mm256_set1_epi64x(31)));
}
static PQK_INLINE vs32 vs32_mul_shift(vs32 x, vs32 m, vs32 n)
{
    const __m256i one = _mm256_set1_epi32(1);
    const __m256i bias = _mm256_sllv_epi32(one, _mm256_sub_epi32(_mm256_set1_epi32(32), n)); /* 0 where n is 0 */
    const __m256i even = mul_shift_even(x, m, _mm256_blend_epi32(n, _mm256_setzero_si256(), 0xaa));
    const __m256i odd = mul_shift_even(odd_lanes(x), odd_lanes(m), odd_lanes(n));
    return _mm256_sub_epi32(_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa), bias);
}
static PQK_INLINE vs32 vs32_mul_shift_far(vs32 x, vs32 m, vs32 n)
{
    /* The upper halves, rounded down, lose nothing: at least one of their bits is still cut off. */
    const __m256i even = _mm256_mul_epi32(x, m), odd = _mm256_mul_epi32(odd_lanes(x), odd_lanes(m));
    const __m256i high = _mm256_blend_epi32(odd_lanes(even), odd, 0xaa);
    const __m256i half = _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_sub_epi32(n, _mm256_set1_epi32(2)));
    return _mm256_srav_epi32(_mm256_add_epi32(high, half), _mm256_sub_epi32(n, _mm256_set1_epi32(1)));
}

/* Narrowing, with saturation. */
static PQK_INLINE vs16 vs16_pack2(vs32 a, vs32 b) { return _mm256_packs_epi32(a, b); }
static PQK_INLINE vs16 vu16_pack2(vs32 a, vs32 b) { return _mm256_packus_epi32(a, b); }
static PQK_INLINE vs16 vs16_adds(vs16 a, vs16 b) { return _mm256_adds_epi16(a, b); }
static PQK_INLINE vs16 vs16_load(const void *p) { return load_256(p); }
static PQK_INLINE vs16 vs16_min(vs16 a, vs16 b) { return _mm256_min_epi16(a, b); }
static PQK_INLINE vs16 vs16_max(vs16 a, vs16 b) { return _mm256_max_epi16(a, b); }
static PQK_INLINE int vs16_any_above(vs16 a, vs16 b) { return _mm256_movemask_epi8(_mm256_cmpgt_epi16(a, b)) != 0; }
static PQK_INLINE vs16 vs16_sortable(vs16 x)
{
    return _mm256_xor_si256(x, _mm256_and_si256(_mm256_srai_epi16(x, 15), _mm256_set1_epi16(INT16_MAX)));
}
static PQK_INLINE v8 in_order_8(__m256i x) /* from a0-3 b0-3 c0-3 d0-3 | a4-7 ... */
{
    return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
static PQK_INLINE v8 vs8_pack2(vs16 ab, vs16 cd) { return in_order_8(_mm256_packs_epi16(ab, cd)); }
static PQK_INLINE v8 vu8_pack2(vs16 ab, vs16 cd) { return in_order_8(_mm256_packus_epi16(ab, cd)); }
/* Of pairs from vf32_load_zip_bf16: ab holds its elements in order, and cd does; by halves a0 c0 | a1 c1. */
static PQK_INLINE v8 in_order_zip(v8 x) { return _mm256_permute4x64_epi64(x, _MM_SHUFFLE(3, 1, 2, 0)); }
static PQK_INLINE v8 vs8_pack2_zip(vs16 ab, vs16 cd) { return in_order_zip(_mm256_packs_epi16(ab, cd)); }
static PQK_INLINE v8 vu8_pack2_zip(vs16 ab, vs16 cd) { return in_order_zip(_mm256_packus_epi16(ab, cd)); }
static PQK_INLINE v8 v8_equal4(const vs32 a[4], const vs32 b[4])
{
    const vs16 x = vs16_pack2(vs32_equal(a[0], b[0]), vs32_equal(a[1], b[1]));
    const vs16 y = vs16_pack2(vs32_equal(a[2], b[2]), vs32_equal(a[3], b[3]));
    return _mm256_and_si256(vs8_pack2(x, y), _mm256_set1_epi8(1));
}
static PQK_INLINE v8 v8_and(v8 x, int8_t mask) { return _mm256_and_si256(x, _mm256_set1_epi8(mask)); }

static PQK_INLINE v8 v8_xor(v8 x, int8_t bits) { return _mm256_xor_si256(x, _mm256_set1_epi8(bits)); }

static PQK_INLINE void v16_store(void *p, vs16 ab)
{
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(ab, 0xd8)); /* a0-7 b0-7 */
}
static PQK_INLINE void v16_store_rows(char *const p[2], vs16 ab)
{
    const __m256i x = _mm256_permute4x64_epi64(ab, 0xd8);
    _mm_storeu_si128((__m128i *)p[0], _mm256_castsi256_si128(x));
    _mm_storeu_si128((__m128i *)p[1], _mm256_extracti128_si256(x, 1));
}
static PQK_INLINE void v8_store(void *p, v8 x) { _mm256_storeu_si256((__m256i *)p, x); }
static PQK_INLINE void v8_store_rows(char *const p[4], v8 x)
{
    const __m128i ab = _mm256_castsi256_si128(x), cd = _mm256_extracti128_si256(x, 1);
    _mm_storel_epi64((__m128i *)p[0], ab);
    _mm_storeh_pi((__m64 *)p[1], _mm_castsi128_ps(ab));
    _mm_storel_epi64((__m128i *)p[2], cd);
    _mm_storeh_pi((__m64 *)p[3], _mm_castsi128_ps(cd));
}
static PQK_INLINE void v8_store_part(void *p, int bytes, v8 x)
{
    int8_t padded[4 * VL];
    v8_store(padded, x);
    memcpy(p, padded, (size_t)bytes);
}

/* Elements of 4 (or 2) bits, the first lowest: u8 x (1, 16) summed in pairs. */
static PQK_INLINE void v4_store(void *p, v8 x)
{
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi8(15));
    const __m256i pairs = _mm256_maddubs_epi16(low, _mm256_set1_epi16(0x1001));
    const __m256i bytes = _mm256_packus_epi16(pairs, pairs); /* 0-7 0-7 | 8-15 8-15 */
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(_mm256_permute4x64_epi64(bytes, 0x08)));
}
static PQK_INLINE void v2_store(void *p, v8 x)
{
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi8(3));
    const __m256i pairs = _mm256_maddubs_epi16(low, _mm256_set1_epi16(0x0401));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00100001));
    const __m256i words = _mm256_packus_epi32(fours, fours); /* 0-3 0-3 | 4-7 4-7 */
    const __m256i bytes = _mm256_packus_epi16(words, words); /* 0-3 four times | 4-7 four times */
    const __m256i in_order = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0));
    _mm_storel_epi64((__m128i *)p, _mm256_castsi256_si128(in_order));
}

/* Widening. */
static PQK_INLINE vs32 vs32_load_s8(const void *p) { return _mm256_cvtepi8_epi32(load_64(p)); }
static PQK_INLINE vs32 vs32_load_u8(const void *p) { return _mm256_cvtepu8_epi32(load_64(p)); }
static PQK_INLINE vs32 vs32_load_s16(const void *p) { return _mm256_cvtepi16_epi32(load_128(p)); }
static PQK_INLINE vs32 vs32_load_u16(const void *p) { return _mm256_cvtepu16_epi32(load_128(p)); }

/* 4 VL bytes; elements of 4 (or 2) bits each come to the low bits of a byte of their own. */
static PQK_INLINE v8 v8_load(const void *p) { return load_256(p); }
static PQK_INLINE v8 v8_load_nibbles(const void *p)
{
    const __m256i x = _mm256_cvtepu8_epi16(load_128(p)); /* 0hl: the shift brings h into byte 1 */
    return _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi16(x, 4)), _mm256_set1_epi8(15));
}
static PQK_INLINE v8 v8_load_crumbs(const void *p)
{
    const __m256i x = _mm256_cvtepu8_epi32(load_64(p));             /* crumbs 3210 in byte 0 */
    const __m256i a = _mm256_or_si256(x, _mm256_slli_epi32(x, 12)); /* 32 at the bottom of byte 2 */
    const __m256i b = _mm256_or_si256(a, _mm256_slli_epi32(a, 6));  /* 1 and 3 at that of bytes 1 and 3 */
    return _mm256_and_si256(b, _mm256_set1_epi8(3));
}
/* Bytes v VL ... v VL + VL - 1. */
static PQK_INLINE vs32 vs32_from_u8(v8 x, int v)
{
    const __m128i half = v < 2 ? _mm256_castsi256_si128(x) : _mm256_extracti128_si256(x, 1);
    return _mm256_cvtepu8_epi32(v % 2 ? _mm_srli_si128(half, 8) : half);
}
#endif
