/* vec_avx512.h -- the 512-bit spelling of the vocabulary in simd/README.md. */
#ifndef PQK_VEC_AVX512_H
#define PQK_VEC_AVX512_H
#include <immintrin.h>
#include <stdint.h>
#include "core/macros.h"

#define VL              16 /* float lanes in one register */
#define PQK_ROUND_FALLS 1  /* vs32_round(x) is INT32_MIN where x is NaN or too low for an integer */
typedef __m512 vf32;
typedef __m512i vs32;
typedef __m512i vs16; /* two vs32 narrowed: a0-3 b0-3 | a4-7 b4-7 | a8-11 b8-11 | a12-15 b12-15 */
typedef __m512i v8;   /* two vs16 narrowed: a0-3 b0-3 c0-3 d0-3 | a4-7 ... */

static PQK_INLINE __mmask16 first_lanes(int m) { return (__mmask16)((1u << m) - 1); }
static PQK_INLINE __mmask64 first_bytes(int m) { return m >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << m) - 1; }

static PQK_INLINE vf32 vf32_load_f32(const void *p) { return _mm512_loadu_ps(p); }
static PQK_INLINE vf32 vf32_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }
static PQK_INLINE vf32 bf16_to_f32(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
static PQK_INLINE vf32 vf32_load_bf16(const void *p) { return bf16_to_f32(_mm256_loadu_si256(p)); }
/* Interleaving with zeros widens; a half of each 128-bit lane goes to either register. */
static PQK_INLINE void vf32_load_zip_bf16(vf32 x[2], const void *p)
{
    const __m512i bits = _mm512_loadu_si512(p), zero = _mm512_setzero_si512();
    x[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, bits));
    x[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, bits));
}
static PQK_INLINE vf32 vf32_load_f32_part(const void *p, int m) { return _mm512_maskz_loadu_ps(first_lanes(m), p); }
static PQK_INLINE vf32 vf32_load_f16_part(const void *p, int m)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(m), p));
}
static PQK_INLINE vf32 vf32_load_bf16_part(const void *p, int m)
{
    return bf16_to_f32(_mm256_maskz_loadu_epi16(first_lanes(m), p));
}

static PQK_INLINE __m256i f32_to_f16(vf32 x)
{
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static PQK_INLINE __m256i f32_to_bf16(vf32 x)
{
    /* Adds half a unit, less one where the kept part is even; VCVTNEPS2BF16 would flush subnormals. */
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __m512i all = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(all, 16));
}
static PQK_INLINE void vf32_store_f32(void *p, vf32 x) { _mm512_storeu_ps(p, x); }
static PQK_INLINE void vf32_store_f16(void *p, vf32 x) { _mm256_storeu_si256(p, f32_to_f16(x)); }
static PQK_INLINE void vf32_store_bf16(void *p, vf32 x) { _mm256_storeu_si256(p, f32_to_bf16(x)); }
/* Two registers, neither with a NaN: half a unit, less one where the kept part is even, cannot overflow then. */
static PQK_INLINE __m512i round_to_bf16(vf32 x)
{
    const __m512i bits = _mm512_castps_si512(x), up = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
    return _mm512_mask_sub_epi32(up, odd, up, _mm512_set1_epi32(-1));
}
static PQK_INLINE void vf32_store2_bf16(char *p, vf32 a, vf32 b)
{
    const __m512i upper = _mm512_set_epi16(/* the odd words of a, then of b */
                                           63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                                           25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi16(round_to_bf16(a), upper, round_to_bf16(b)));
}
static PQK_INLINE void vf32_store2_zip_bf16(char *p, vf32 a, vf32 b)
{
    const __m512i upper = _mm512_set_epi16(/* the odd words, a quarter of a, then of b, and so on */
                                           63, 61, 59, 57, 31, 29, 27, 25, 55, 53, 51, 49, 23, 21, 19, 17, 47, 45, 43,
                                           41, 15, 13, 11, 9, 39, 37, 35, 33, 7, 5, 3, 1);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi16(round_to_bf16(a), upper, round_to_bf16(b)));
}
static PQK_INLINE void vf32_store_f32_part(void *p, int m, vf32 x) { _mm512_mask_storeu_ps(p, first_lanes(m), x); }
static PQK_INLINE void vf32_store_f16_part(void *p, int m, vf32 x)
{
    _mm256_mask_storeu_epi16(p, first_lanes(m), f32_to_f16(x));
}
static PQK_INLINE void vf32_store_bf16_part(void *p, int m, vf32 x)
{
    _mm256_mask_storeu_epi16(p, first_lanes(m), f32_to_bf16(x));
}

static PQK_INLINE vf32 vf32_set1(float x) { return _mm512_set1_ps(x); }
static PQK_INLINE vf32 vf32_add(vf32 a, vf32 b) { return _mm512_add_ps(a, b); }
static PQK_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return _mm512_sub_ps(a, b); }
static PQK_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return _mm512_mul_ps(a, b); }
static PQK_INLINE vf32 vf32_div(vf32 a, vf32 b) { return _mm512_div_ps(a, b); }
static PQK_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return _mm512_fmadd_ps(a, b, c); }
static PQK_INLINE vf32 vf32_fnma(vf32 a, vf32 b, vf32 c) { return _mm512_fnmadd_ps(a, b, c); }

/* MAXPS and MINPS return their second operand when one is NaN. */
static PQK_INLINE vf32 vf32_min(vf32 a, vf32 b) { return _mm512_min_ps(a, b); }
static PQK_INLINE vf32 vf32_max(vf32 a, vf32 b) { return _mm512_max_ps(a, b); }
static PQK_INLINE float vf32_reduce_min(vf32 x) { return _mm512_reduce_min_ps(x); }
static PQK_INLINE float vf32_reduce_max(vf32 x) { return _mm512_reduce_max_ps(x); }
static PQK_INLINE vf32 vf32_clamp(vf32 x, vf32 lo, vf32 hi) { return _mm512_min_ps(_mm512_max_ps(x, lo), hi); }
static PQK_INLINE vf32 vf32_guard(vf32 x, vf32 lo, vf32 hi) { return (void)lo, _mm512_min_ps(hi, x); }

static PQK_INLINE vf32 vf32_trunc(vf32 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
static PQK_INLINE vf32 vf32_copysign(vf32 magnitude, vf32 sign) /* magnitude >= 0 */
{
    const __m512i top = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(magnitude), _mm512_castps_si512(sign), top,
                                                         0xf8)); /* magnitude | (sign & top) */
}
static PQK_INLINE vf32 vf32_canonical(vf32 x)
{
    const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
}

static PQK_INLINE vs32 vs32_set1(int32_t x) { return _mm512_set1_epi32(x); }
static PQK_INLINE vs32 vs32_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static PQK_INLINE void vs32_store(int32_t *p, vs32 x) { _mm512_storeu_si512(p, x); }
static PQK_INLINE vs32 vs32_add(vs32 a, vs32 b) { return _mm512_add_epi32(a, b); }
static PQK_INLINE vs32 vs32_sub(vs32 a, vs32 b) { return _mm512_sub_epi32(a, b); }
static PQK_INLINE vs32 vs32_mul(vs32 a, vs32 b) { return _mm512_mullo_epi32(a, b); }
static PQK_INLINE vs32 vs32_max(vs32 a, vs32 b) { return _mm512_max_epi32(a, b); }
static PQK_INLINE vs32 vs32_min(vs32 a, vs32 b) { return _mm512_min_epi32(a, b); }
static PQK_INLINE vs32 vs32_round(vf32 x) { return _mm512_cvtps_epi32(x); }
static PQK_INLINE vs32 vs32_truncate(vf32 x) { return _mm512_cvttps_epi32(x); }
static PQK_INLINE vf32 vf32_from_s32(vs32 x) { return _mm512_cvtepi32_ps(x); }
static PQK_INLINE vs32 vs32_bits(vf32 x) { return _mm512_castps_si512(x); }
static PQK_INLINE vf32 vf32_from_bits(vs32 x) { return _mm512_castsi512_ps(x); }
static PQK_INLINE vs32 vs32_and(vs32 a, vs32 b) { return _mm512_and_si512(a, b); }
/* 2^n as a float, -126 <= n <= 127 */
static PQK_INLINE vf32 vf32_exp2i(vs32 n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}

/* -1 in the lanes where it holds, 0 elsewhere. */
static PQK_INLINE vs32 vs32_equal(vs32 a, vs32 b) { return _mm512_movm_epi32(_mm512_cmpeq_epi32_mask(a, b)); }
static PQK_INLINE vs32 vs32_not_between(vf32 x, vf32 lo, vf32 hi)
{
    const __mmask16 above = _mm512_cmp_ps_mask(x, lo, _CMP_GE_OQ);
    return _mm512_movm_epi32((__mmask16)~_mm512_mask_cmp_ps_mask(above, x, hi, _CMP_LE_OQ));
}
static PQK_INLINE vs32 vs32_or(vs32 a, vs32 b) { return _mm512_or_si512(a, b); }
static PQK_INLINE int vs32_any(vs32 x) { return _mm512_test_epi32_mask(x, x) != 0; }

/* Fixed point.  VPMULDQ multiplies the even lanes to 64 bits; the odd ones are brought down for it. */
static PQK_INLINE vs32 vs32_shl_sat(vs32 x, vs32 n)
{
    const __m512i y = _mm512_sllv_epi32(x, n);
    const __mmask16 large = _mm512_cmpneq_epi32_mask(_mm512_srav_epi32(y, n), x);
    return _mm512_mask_xor_epi32(y, large, _mm512_srai_epi32(x, 31), _mm512_set1_epi32(INT32_MAX));
}
static PQK_INLINE vs32 vs32_shr_away(vs32 x, vs32 n)
{
    const __m512i one = _mm512_set1_epi32(1), mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, n), one);
    const __m512i half = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(x, 31));
    const __m512i y = _mm512_srav_epi32(x, n);
    return _mm512_mask_add_epi32(y, _mm512_cmpgt_epi32_mask(_mm512_and_si512(x, mask), half), y, one);
}
static PQK_INLINE __m512i odd_lanes(__m512i x) { return _mm512_srli_epi64(x, 32); } /* into the even ones */
static PQK_INLINE vs32 vs32_mul_high(vs32 x, vs32 m)
{
    const __m512i half = _mm512_set1_epi64(1 << 30);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, m), half);
    const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(odd_lanes(x), odd_lanes(m)), half);
    return _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 31), 0xaaaa, _mm512_add_epi64(odd, odd));
}
static PQK_INLINE __m512i mul_shift_even(__m512i x, __m512i m, __m512i n)
{
    const __m512i half = _mm512_sllv_epi64(_mm512_set1_epi64(1), _mm512_add_epi64(n, _mm512_set1_epi64(30)));
    return _mm512_srav_epi64(_mm512_add_epi64(_mm512_mul_epi32(x, m), half),
                             _mm512_add_epi64(n, _mm512_set1_epi64(31)));
}
static PQK_INLINE vs32 vs32_mul_shift(vs32 x, vs32 m, vs32 n)
{
    const __m512i even = mul_shift_even(x, m, _mm512_maskz_mov_epi32(0x5555, n));
    const __m512i odd = mul_shift_even(odd_lanes(x), odd_lanes(m), odd_lanes(n));
    return _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
}
static PQK_INLINE vs32 vs32_mul_shift_far(vs32 x, vs32 m, vs32 n)
{
    /* The upper halves, rounded down, lose nothing: at least one of their bits is still cut off. */
    const __m512i even = _mm512_mul_epi32(x, m), odd = _mm512_mul_epi32(odd_lanes(x), odd_lanes(m));
    const __m512i high = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
    const __m512i half = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_sub_epi32(n, _mm512_set1_epi32(2)));
    return _mm512_srav_epi32(_mm512_add_epi32(high, half), _mm512_sub_epi32(n, _mm512_set1_epi32(1)));
}

/* Narrowing, with saturation. */
static PQK_INLINE vs16 vs16_pack2(vs32 a, vs32 b) { return _mm512_packs_epi32(a, b); }
static PQK_INLINE vs16 vu16_pack2(vs32 a, vs32 b) { return _mm512_packus_epi32(a, b); }
static PQK_INLINE vs16 vs16_adds(vs16 a, vs16 b) { return _mm512_adds_epi16(a, b); }
static PQK_INLINE v8 in_order_8(v8 x)
{
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
}
static PQK_INLINE v8 vs8_pack2(vs16 ab, vs16 cd) { return in_order_8(_mm512_packs_epi16(ab, cd)); }
static PQK_INLINE v8 vu8_pack2(vs16 ab, vs16 cd) { return in_order_8(_mm512_packus_epi16(ab, cd)); }
/* Of pairs from vf32_load_zip_bf16: ab holds its elements in order, and cd does; by quarters a0 c0 a1 c1 ... */
static PQK_INLINE v8 in_order_zip(v8 x)
{
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
}
static PQK_INLINE v8 vs8_pack2_zip(vs16 ab, vs16 cd) { return in_order_zip(_mm512_packs_epi16(ab, cd)); }
static PQK_INLINE v8 vu8_pack2_zip(vs16 ab, vs16 cd) { return in_order_zip(_mm512_packus_epi16(ab, cd)); }
static PQK_INLINE v8 v8_equal4(const vs32 a[4], const vs32 b[4])
{
    const __mmask16 m0 = _mm512_cmpeq_epi32_mask(a[0], b[0]), m1 = _mm512_cmpeq_epi32_mask(a[1], b[1]);
    const __mmask16 m2 = _mm512_cmpeq_epi32_mask(a[2], b[2]), m3 = _mm512_cmpeq_epi32_mask(a[3], b[3]);
    const __mmask64 all = _mm512_kunpackd(_mm512_kunpackw(m3, m2), _mm512_kunpackw(m1, m0));
    return _mm512_maskz_mov_epi8(all, _mm512_set1_epi8(1));
}
static PQK_INLINE v8 v8_and(v8 x, int8_t mask) { return _mm512_and_si512(x, _mm512_set1_epi8(mask)); }

static PQK_INLINE v8 v8_xor(v8 x, int8_t bits) { return _mm512_xor_si512(x, _mm512_set1_epi8(bits)); }

static PQK_INLINE vs16 vs16_load(const void *p) { return _mm512_loadu_si512(p); }
static PQK_INLINE vs16 vs16_min(vs16 a, vs16 b) { return _mm512_min_epi16(a, b); }
static PQK_INLINE vs16 vs16_max(vs16 a, vs16 b) { return _mm512_max_epi16(a, b); }
static PQK_INLINE int vs16_any_above(vs16 a, vs16 b) { return _mm512_cmpgt_epi16_mask(a, b) != 0; }
static PQK_INLINE vs16 vs16_sortable(vs16 x)
{
    return _mm512_ternarylogic_epi32(x, _mm512_srai_epi16(x, 15), _mm512_set1_epi16(INT16_MAX),
                                     0x78); /* x ^ (sign & 0x7fff) */
}

/* Four elements of 16 bits: a, b, c, d each become VL elements in order. */
static PQK_INLINE __m512i in_order_16(vs16 x)
{
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
}
static PQK_INLINE void v16_store(void *p, vs16 ab) { _mm512_storeu_si512(p, in_order_16(ab)); }
static PQK_INLINE void v16_store_rows(char *const p[2], vs16 ab)
{
    const __m512i x = in_order_16(ab);
    _mm256_storeu_si256((__m256i *)p[0], _mm512_castsi512_si256(x));
    _mm256_storeu_si256((__m256i *)p[1], _mm512_extracti64x4_epi64(x, 1));
}

static PQK_INLINE void v8_store(void *p, v8 x) { _mm512_storeu_si512(p, x); }
static PQK_INLINE void v8_store_rows(char *const p[4], v8 x)
{
    _mm_storeu_si128((__m128i *)p[0], _mm512_castsi512_si128(x));
    _mm_storeu_si128((__m128i *)p[1], _mm512_extracti32x4_epi32(x, 1));
    _mm_storeu_si128((__m128i *)p[2], _mm512_extracti32x4_epi32(x, 2));
    _mm_storeu_si128((__m128i *)p[3], _mm512_extracti32x4_epi32(x, 3));
}
static PQK_INLINE void v8_store_part(void *p, int bytes, v8 x) { _mm512_mask_storeu_epi8(p, first_bytes(bytes), x); }

/* Elements of 4 (or 2) bits, the first lowest: u8 x (1, 16) summed in pairs. */
static PQK_INLINE __m256i pack_nibbles(v8 x)
{
    const __m512i low = _mm512_and_si512(x, _mm512_set1_epi8(15));
    return _mm512_cvtepi16_epi8(_mm512_maddubs_epi16(low, _mm512_set1_epi16(0x1001)));
}
static PQK_INLINE __m128i pack_crumbs(v8 x)
{
    const __m512i low = _mm512_and_si512(x, _mm512_set1_epi8(3));
    const __m512i pairs = _mm512_maddubs_epi16(low, _mm512_set1_epi16(0x0401));
    return _mm512_cvtepi32_epi8(_mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00100001)));
}
static PQK_INLINE void v4_store(void *p, v8 x) { _mm256_storeu_si256(p, pack_nibbles(x)); }
static PQK_INLINE void v2_store(void *p, v8 x) { _mm_storeu_si128(p, pack_crumbs(x)); }

/* Widening: 4 VL elements to four vs32. */
static PQK_INLINE vs32 vs32_load_s8(const void *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(p)); }
static PQK_INLINE vs32 vs32_load_u8(const void *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(p)); }
static PQK_INLINE vs32 vs32_load_s16(const void *p) { return _mm512_cvtepi16_epi32(_mm256_loadu_si256(p)); }
static PQK_INLINE vs32 vs32_load_u16(const void *p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256(p)); }

/* 4 VL bytes; elements of 4 (or 2) bits each come to the low bits of a byte of their own. */
static PQK_INLINE v8 v8_load(const void *p) { return _mm512_loadu_si512(p); }
static PQK_INLINE v8 v8_load_nibbles(const void *p)
{
    const __m512i x = _mm512_cvtepu8_epi16(_mm256_loadu_si256(p)); /* 0hl: the shift brings h into byte 1 */
    return _mm512_and_si512(_mm512_or_si512(x, _mm512_slli_epi16(x, 4)), _mm512_set1_epi8(15));
}
static PQK_INLINE v8 v8_load_crumbs(const void *p)
{
    const __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128(p));     /* crumbs 3210 in byte 0 */
    const __m512i a = _mm512_or_si512(x, _mm512_slli_epi32(x, 12)); /* 32 at the bottom of byte 2 */
    const __m512i b = _mm512_or_si512(a, _mm512_slli_epi32(a, 6));  /* 1 and 3 at that of bytes 1 and 3 */
    return _mm512_and_si512(b, _mm512_set1_epi8(3));
}
/* Bytes v VL ... v VL + VL - 1; the switch is gone where v is a constant. */
static PQK_INLINE vs32 vs32_from_u8(v8 x, int v)
{
    switch (v) {
    case 0:
        return _mm512_cvtepu8_epi32(_mm512_castsi512_si128(x));
    case 1:
        return _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(x, 1));
    case 2:
        return _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(x, 2));
    default:
        return _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(x, 3));
    }
}
#endif
