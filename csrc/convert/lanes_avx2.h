/* lanes_avx2.h -- lanes.h in 256 bits.  Signs go their own way: VPACKS* keeps them from 32 bits down to 8.
 *
 * Two registers share the 16-bit lanes of one, a in the low and b in the high halves of its 32-bit lanes.
 */
#include "convert/lanes.h"

struct narrow_lanes {
    vf32 limit, least, factor;
    __m128i exponent_shift, sign_shift;
};
static PQK_INLINE struct narrow_lanes narrow_lanes_of(const struct pqk_float_format *f, bool saturate)
{
    const struct narrow_numbers k = narrow_numbers_of(f, saturate);
    return (struct narrow_lanes){.limit = _mm256_set1_ps(k.limit),
                                 .least = _mm256_set1_ps(k.least),
                                 .factor = _mm256_set1_ps(k.factor),
                                 .exponent_shift = _mm_cvtsi32_si128(k.exponent_shift),
                                 .sign_shift = _mm_cvtsi32_si128(k.sign_shift)};
}

/* 16 magnitude codes in 16-bit lanes: a0 b0 a1 b1 ... */
static PQK_INLINE __m256i narrow_two(vf32 a, vf32 b, const struct narrow_lanes *k)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const __m256 exponent = _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000));
    const vf32 ca = _mm256_min_ps(_mm256_and_ps(a, magnitude), k->limit);
    const vf32 cb = _mm256_min_ps(_mm256_and_ps(b, magnitude), k->limit);
    const vf32 ea = _mm256_max_ps(_mm256_and_ps(ca, exponent), k->least);
    const vf32 eb = _mm256_max_ps(_mm256_and_ps(cb, exponent), k->least);
    const __m256i ya = _mm256_castps_si256(_mm256_fmadd_ps(ea, k->factor, ca));
    const __m256i yb = _mm256_castps_si256(_mm256_fmadd_ps(eb, k->factor, cb));
    const __m256i y = _mm256_blend_epi16(ya, _mm256_slli_epi32(yb, 16), 0xaa);
    const __m256i e = _mm256_blend_epi16(_mm256_srli_epi32(_mm256_castps_si256(ea), 16), _mm256_castps_si256(eb), 0xaa);
    return _mm256_add_epi16(y, _mm256_srl_epi16(e, k->exponent_shift));
}

static PQK_INLINE v8 narrow_block(const vf32 x[4], const struct narrow_lanes *k, bool fnuz)
{
    /* a0 b0 ... a3 b3 c0 d0 ... c3 d3 | 4-7, then a0-3 b0-3 c0-3 d0-3 | 4-7 */
    const __m256i pairs = _mm256_packus_epi16(narrow_two(x[0], x[1], k), narrow_two(x[2], x[3], k));
    const __m256i in_fours =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    const __m256i codes = _mm256_shuffle_epi8(pairs, in_fours);
    const __m256i ab = _mm256_packs_epi32(_mm256_castps_si256(x[0]), _mm256_castps_si256(x[1]));
    const __m256i cd = _mm256_packs_epi32(_mm256_castps_si256(x[2]), _mm256_castps_si256(x[3]));
    __m256i sign = _mm256_and_si256(_mm256_packs_epi16(ab, cd), _mm256_set1_epi8(-128));
    if (fnuz)
        sign = _mm256_andnot_si256(_mm256_cmpeq_epi8(codes, _mm256_setzero_si256()), sign);
    else
        sign = _mm256_srl_epi16(sign, k->sign_shift);
    return in_order_8(_mm256_or_si256(codes, sign));
}

static PQK_INLINE bool any_nan(const vf32 x[4])
{
    const __m256 ab = _mm256_cmp_ps(x[0], x[1], _CMP_UNORD_Q), cd = _mm256_cmp_ps(x[2], x[3], _CMP_UNORD_Q);
    return _mm256_movemask_ps(_mm256_or_ps(ab, cd)) != 0;
}

struct widen_lanes {
    __m128i shift, sign_shift;
    __m256i mask, rebias, max, last;
    vf32 least;
};
static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    (void)type;
    const struct widen_numbers k = widen_numbers_of(f);
    return (struct widen_lanes){.shift = _mm_cvtsi32_si128(k.shift),
                                .sign_shift = _mm_cvtsi32_si128(k.sign_shift),
                                .mask = _mm256_set1_epi32(k.mask),
                                .rebias = _mm256_set1_epi32(k.rebias),
                                .max = _mm256_set1_epi32(k.max),
                                .last = _mm256_set1_epi32(k.last),
                                .least = _mm256_set1_ps(k.least)};
}
static PQK_INLINE void widen_block(vf32 y[4], v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    const __m256i doubled = _mm256_set1_epi32(1 << 23), nan = _mm256_set1_epi32(0x7fc00000);
    unrolled_for (int v = 0; v < 4; ++v) {
        const __m256i code = vs32_from_u8(codes, v), m = _mm256_and_si256(code, k->mask);
        const __m256i p = _mm256_add_epi32(_mm256_sll_epi32(m, k->shift), k->rebias);
        const vf32 q = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_add_epi32(p, doubled)), k->least);
        __m256i value = _mm256_castps_si256(_mm256_min_ps(_mm256_castsi256_ps(p), q));
        if (top == TOP_SPECIAL) {
            value = _mm256_blendv_epi8(value, _mm256_set1_epi32(0x7f800000), _mm256_cmpgt_epi32(m, k->max));
            value = _mm256_blendv_epi8(value, nan, _mm256_cmpgt_epi32(m, k->last));
        }
        if (top == TOP_FNUZ) value = _mm256_blendv_epi8(value, nan, _mm256_cmpeq_epi32(code, _mm256_set1_epi32(0x80)));
        const __m256i sign = _mm256_and_si256(_mm256_sll_epi32(code, k->sign_shift), _mm256_set1_epi32(INT32_MIN));
        y[v] = _mm256_castsi256_ps(_mm256_or_si256(value, sign));
    }
}
