/* lanes_avx512.h -- lanes.h in 512 bits.  VRANGEPS limits magnitudes and keeps the sign, so that c, E and y carry it.
 *
 * From 32-bit to 16-bit lanes by VPERMT2W, which picks the low halves of two y and the high halves of two E in order.
 * A file that defines PQK_HAS_VBMI before gets VPERMI2B for the way to bytes, and tables for both directions.
 */
#include "convert/lanes.h"

enum { MIN_MAGNITUDE = 2, MAX_MAGNITUDE = 3 }; /* of VRANGEPS, with the sign of its first operand */

struct narrow_arithmetic {
    vf32 limit, least, factor;
    __m512i low, high, sign; /* words to pick; the sign bit of a code, in 16-bit lanes */
    __m128i exponent_shift, sign_shift;
};
static PQK_INLINE struct narrow_arithmetic narrow_arithmetic_of(const struct pqk_float_format *f, bool saturate)
{
    const struct narrow_numbers k = narrow_numbers_of(f, saturate);
    const __m512i low = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24,
                                         22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return (struct narrow_arithmetic){.limit = _mm512_set1_ps(k.limit),
                                      .least = _mm512_set1_ps(k.least),
                                      .factor = _mm512_set1_ps(k.factor),
                                      .low = low,
                                      .high = _mm512_add_epi16(low, _mm512_set1_epi16(1)),
                                      .sign = _mm512_set1_epi16((int16_t)(1 << pqk_sign_shift(f))),
                                      .exponent_shift = _mm_cvtsi32_si128(k.exponent_shift),
                                      .sign_shift = _mm_cvtsi32_si128(k.sign_from - pqk_sign_shift(f))};
}

/* 32 codes in 16-bit lanes, in order; above a code's bits there may be others. */
static PQK_INLINE __m512i narrow_two(vf32 a, vf32 b, const struct narrow_arithmetic *k, bool fnuz)
{
    const __m512 exponent = _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)0xff800000));
    const vf32 ca = _mm512_range_ps(a, k->limit, MIN_MAGNITUDE), cb = _mm512_range_ps(b, k->limit, MIN_MAGNITUDE);
    const vf32 ea = _mm512_range_ps(_mm512_and_ps(ca, exponent), k->least, MAX_MAGNITUDE);
    const vf32 eb = _mm512_range_ps(_mm512_and_ps(cb, exponent), k->least, MAX_MAGNITUDE);
    const vf32 ya = _mm512_fmadd_ps(ea, k->factor, ca), yb = _mm512_fmadd_ps(eb, k->factor, cb);
    const __m512i y = _mm512_permutex2var_epi16(_mm512_castps_si512(ya), k->low, _mm512_castps_si512(yb));
    const __m512i e = _mm512_permutex2var_epi16(_mm512_castps_si512(ea), k->high, _mm512_castps_si512(eb));
    const __m512i code = _mm512_add_epi16(y, _mm512_srl_epi16(e, k->exponent_shift));
    const __m512i sign = _mm512_srl_epi16(code, k->sign_shift);
    /* sign where k->sign has its bit, else code */
    if (!fnuz) return _mm512_ternarylogic_epi32(k->sign, sign, code, 0xca);
    /* no negative zero; the magnitude 0x80, NaN, has no sign either: OR-ed, it is there already */
    const __mmask32 some = _mm512_test_epi16_mask(code, _mm512_set1_epi16(0xff));
    return _mm512_or_si512(code, _mm512_maskz_mov_epi16(some, _mm512_and_si512(sign, k->sign)));
}

#if defined(PQK_HAS_VBMI)
static PQK_INLINE __m512i even_bytes(void)
{
    return _mm512_set_epi8(126, 124, 122, 120, 118, 116, 114, 112, 110, 108, 106, 104, 102, 100, 98, 96, 94, 92, 90, 88,
                           86, 84, 82, 80, 78, 76, 74, 72, 70, 68, 66, 64, 62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42,
                           40, 38, 36, 34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
}
#endif
static PQK_INLINE v8 words_to_bytes(__m512i a, __m512i b)
{
#if defined(PQK_HAS_VBMI)
    return _mm512_permutex2var_epi8(a, even_bytes(), b);
#else
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
#endif
}

static PQK_INLINE v8 narrow_by_arithmetic(const vf32 x[4], const struct narrow_arithmetic *k, bool fnuz)
{
    return words_to_bytes(narrow_two(x[0], x[1], k, fnuz), narrow_two(x[2], x[3], k, fnuz));
}

static PQK_INLINE bool any_nan(const vf32 x[4])
{
    const __mmask16 ab = _mm512_cmp_ps_mask(x[0], x[1], _CMP_UNORD_Q);
    return (ab | _mm512_cmp_ps_mask(x[2], x[3], _CMP_UNORD_Q)) != 0;
}

/* Widening in bytes. */
struct widen_bytes {
    __m128i left, right, sign_shift;
    __m512i left_mask, right_mask, mask, bump, rebias, normal, max;
    __m512i low, high; /* bytes of subnormals */
    __m512i special;
};
static PQK_INLINE struct widen_bytes widen_bytes_of(const struct pqk_float_format *f)
{
    const struct widen_byte_numbers k = widen_byte_numbers_of(f);
    const __m512 count = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i small = _mm512_castps_si512(_mm512_mul_ps(count, _mm512_set1_ps(k.unit)));
    return (struct widen_bytes){
        .left = _mm_cvtsi32_si128(k.left),
        .right = _mm_cvtsi32_si128(k.right),
        .sign_shift = _mm_cvtsi32_si128(k.sign_shift),
        .left_mask = _mm512_set1_epi8(k.left_mask),
        .right_mask = _mm512_set1_epi8(k.right_mask),
        .mask = _mm512_set1_epi8(k.mask),
        .bump = _mm512_set1_epi8(k.bump),
        .rebias = _mm512_set1_epi8(k.rebias),
        .normal = _mm512_set1_epi8(k.normal),
        .max = _mm512_set1_epi8(k.max),
        .low = _mm512_broadcast_i32x4(_mm512_cvtepi32_epi8(_mm512_srli_epi32(small, 16))),
        .high = _mm512_broadcast_i32x4(_mm512_cvtepi32_epi8(_mm512_srli_epi32(small, 24))),
        .special = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)k.special)),
    };
}

/* The two bytes of each code. */
static PQK_INLINE void widen_in_bytes(__m512i *low, __m512i *high, __m512i codes, const struct widen_bytes *k,
                                      enum widen_top top)
{
    const __m512i m = _mm512_and_si512(codes, k->mask), bumped = _mm512_add_epi8(m, k->bump);
    const __mmask64 small = _mm512_cmplt_epi8_mask(m, k->normal);
    *low = _mm512_and_si512(_mm512_sll_epi16(bumped, k->left), k->left_mask);
    *high = _mm512_add_epi8(_mm512_and_si512(_mm512_srl_epi16(bumped, k->right), k->right_mask), k->rebias);
    *low = _mm512_mask_shuffle_epi8(*low, small, k->low, m);
    *high = _mm512_mask_shuffle_epi8(*high, small, k->high, m);
    if (top == TOP_SPECIAL) {
        const __mmask64 odd = _mm512_cmpgt_epi8_mask(m, k->max);
        *low = _mm512_mask_shuffle_epi8(*low, odd, k->special, m);
        *high = _mm512_mask_mov_epi8(*high, odd, _mm512_set1_epi8(0x7f));
    }
    if (top == TOP_FNUZ) {
        const __mmask64 odd = _mm512_cmpeq_epi8_mask(codes, _mm512_set1_epi8(-128));
        *low = _mm512_mask_mov_epi8(*low, odd, _mm512_set1_epi8((char)0xc0));
        *high = _mm512_mask_mov_epi8(*high, odd, _mm512_set1_epi8(0x7f));
    }
    /* the sign in bit 7, the rest of high */
    *high = _mm512_ternarylogic_epi32(_mm512_set1_epi8(-128), _mm512_sll_epi16(codes, k->sign_shift), *high, 0xca);
}

/* Two bytes to float32, of codes put in order by in_order_8(): lane L has 4L-4L+3 of each quarter, and unpacking twice
 * takes quarter v from dword v of each lane. */
static PQK_INLINE void floats_of_bytes(vf32 y[4], __m512i low, __m512i high)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i a = _mm512_unpacklo_epi8(low, high), b = _mm512_unpackhi_epi8(low, high);
    y[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, a));
    y[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, a));
    y[2] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(zero, b));
    y[3] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(zero, b));
}

#if defined(PQK_HAS_VBMI)
#include "convert/lanes_avx512vbmi.h"
#include "convert/lanes_avx512vbmi_narrow.h"
#else
struct narrow_lanes {
    struct narrow_arithmetic a;
};
static PQK_INLINE struct narrow_lanes narrow_lanes_of(const struct pqk_float_format *f, bool saturate)
{
    return (struct narrow_lanes){narrow_arithmetic_of(f, saturate)};
}
static PQK_INLINE v8 narrow_block(const vf32 x[4], const struct narrow_lanes *k, bool fnuz)
{
    return narrow_by_arithmetic(x, &k->a, fnuz);
}
struct widen_lanes {
    struct widen_bytes b;
};
static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    (void)type;
    return (struct widen_lanes){widen_bytes_of(f)};
}
static PQK_INLINE void look_up(__m512i *low, __m512i *high, __m512i codes, const struct widen_lanes *k,
                               enum widen_top top)
{
    widen_in_bytes(low, high, codes, &k->b, top);
}
#define WIDEN_HALVES(type) ((type) == PQK_BF16)
#endif

static PQK_INLINE void widen_block(vf32 y[4], v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    __m512i low, high;
    look_up(&low, &high, in_order_8(codes), k, top);
    floats_of_bytes(y, low, high);
}

/* 64 codes to BF16, or where they are from tables, to F16, which those were made for. */
static PQK_INLINE void widen_halves(char *y, v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    __m512i low, high;
    const __m512i eights = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
    look_up(&low, &high, eights, k, top);
    _mm512_storeu_si512(y, _mm512_unpacklo_epi8(low, high));
    _mm512_storeu_si512(y + 64, _mm512_unpackhi_epi8(low, high));
}
