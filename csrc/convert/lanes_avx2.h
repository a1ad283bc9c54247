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

/* Widening in bytes. */
struct widen_lanes {
    __m128i left, right, sign_shift;
    __m256i left_mask, right_mask, mask, bump, rebias, normal, max;
    __m256i low, high; /* bytes of subnormals */
    __m256i special;
};
static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    (void)type;
    const struct widen_byte_numbers k = widen_byte_numbers_of(f);
    const __m256 unit = _mm256_set1_ps(k.unit);
    const __m256i first = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                  later = _mm256_add_epi32(first, _mm256_set1_epi32(8));
    const __m256 a = _mm256_mul_ps(_mm256_cvtepi32_ps(first), unit), b = _mm256_mul_ps(_mm256_cvtepi32_ps(later), unit);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_srli_epi32(_mm256_castps_si256(a), 16),
                                                                       _mm256_srli_epi32(_mm256_castps_si256(b), 16)),
                                                   0xd8);
    const __m256i bytes = _mm256_packus_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0xff)),
                                              _mm256_srli_epi16(words, 8)); /* low 0-7, high 0-7 | 8-15 */
    return (struct widen_lanes){
        .left = _mm_cvtsi32_si128(k.left),
        .right = _mm_cvtsi32_si128(k.right),
        .sign_shift = _mm_cvtsi32_si128(k.sign_shift),
        .left_mask = _mm256_set1_epi8(k.left_mask),
        .right_mask = _mm256_set1_epi8(k.right_mask),
        .mask = _mm256_set1_epi8(k.mask),
        .bump = _mm256_set1_epi8(k.bump),
        .rebias = _mm256_set1_epi8(k.rebias),
        .normal = _mm256_set1_epi8(k.normal),
        .max = _mm256_set1_epi8(k.max),
        .low = _mm256_permute4x64_epi64(bytes, 0x88),
        .high = _mm256_permute4x64_epi64(bytes, 0xdd),
        .special = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)k.special)),
    };
}

/* The two bytes of each code. */
static PQK_INLINE void widen_bytes(__m256i *low, __m256i *high, __m256i codes, const struct widen_lanes *k,
                                   enum widen_top top)
{
    const __m256i m = _mm256_and_si256(codes, k->mask), bumped = _mm256_add_epi8(m, k->bump);
    const __m256i small = _mm256_cmpgt_epi8(k->normal, m);
    *low = _mm256_and_si256(_mm256_sll_epi16(bumped, k->left), k->left_mask);
    *high = _mm256_add_epi8(_mm256_and_si256(_mm256_srl_epi16(bumped, k->right), k->right_mask), k->rebias);
    *low = _mm256_blendv_epi8(*low, _mm256_shuffle_epi8(k->low, m), small);
    *high = _mm256_blendv_epi8(*high, _mm256_shuffle_epi8(k->high, m), small);
    if (top == TOP_SPECIAL) {
        const __m256i odd = _mm256_cmpgt_epi8(m, k->max);
        *low = _mm256_blendv_epi8(*low, _mm256_shuffle_epi8(k->special, m), odd);
        *high = _mm256_blendv_epi8(*high, _mm256_set1_epi8(0x7f), odd);
    }
    if (top == TOP_FNUZ) {
        const __m256i odd = _mm256_cmpeq_epi8(codes, _mm256_set1_epi8(-128));
        *low = _mm256_blendv_epi8(*low, _mm256_set1_epi8((char)0xc0), odd);
        *high = _mm256_blendv_epi8(*high, _mm256_set1_epi8(0x7f), odd);
    }
    const __m256i sign = _mm256_and_si256(_mm256_sll_epi16(codes, k->sign_shift), _mm256_set1_epi8(-128));
    *high = _mm256_or_si256(*high, sign);
}

static PQK_INLINE void widen_block(vf32 y[4], v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    __m256i low, high;
    const __m256i zero = _mm256_setzero_si256();
    /* fours of codes: those of even number in the first lane, so that unpacking twice gives them in order */
    const __m256i fours = _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    widen_bytes(&low, &high, fours, k, top);
    const __m256i a = _mm256_unpacklo_epi8(low, high), b = _mm256_unpackhi_epi8(low, high);
    y[0] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, a));
    y[1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, a));
    y[2] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, b));
    y[3] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, b));
}

/* 32 codes to BF16. */
#define WIDEN_HALVES(type) ((type) == PQK_BF16)
static PQK_INLINE void widen_halves(char *y, v8 codes, const struct widen_lanes *k, enum widen_top top)
{
    __m256i low, high;
    widen_bytes(&low, &high, _mm256_permute4x64_epi64(codes, 0xd8), k, top);
    v8_store(y, _mm256_unpacklo_epi8(low, high));
    v8_store(y + 32, _mm256_unpackhi_epi8(low, high));
}
