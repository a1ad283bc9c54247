/* lanes_avx512vbmi.h -- widening by table, inside lanes_avx512.h: VPERMI2B looks 64 codes up among 128 bytes.
 *
 * Every number of an 8-bit format is a bfloat16, the upper half of a float32, and a float16.  The low seven bits of
 * the code choose its two bytes, made by arithmetic when a tile begins; bit 7 is the sign.
 */
struct widen_arithmetic {
    __m128i shift, sign_shift;
    __m512i mask, rebias, max, last;
    vf32 least;
};
static PQK_INLINE struct widen_arithmetic widen_arithmetic_of(const struct pqk_float_format *f)
{
    const struct widen_numbers k = widen_numbers_of(f);
    return (struct widen_arithmetic){.shift = _mm_cvtsi32_si128(k.shift),
                                     .sign_shift = _mm_cvtsi32_si128(k.sign_shift),
                                     .mask = _mm512_set1_epi32(k.mask),
                                     .rebias = _mm512_set1_epi32(k.rebias),
                                     .max = _mm512_set1_epi32(k.max),
                                     .last = _mm512_set1_epi32(k.last),
                                     .least = _mm512_set1_ps(k.least)};
}
static PQK_INLINE void widen_by_arithmetic(vf32 y[4], v8 codes, const struct widen_arithmetic *k, enum widen_top top)
{
    const __m512i doubled = _mm512_set1_epi32(1 << 23), nan = _mm512_set1_epi32(0x7fc00000);
    unrolled_for (int v = 0; v < 4; ++v) {
        const __m512i code = vs32_from_u8(codes, v), m = _mm512_and_si512(code, k->mask);
        const __m512i p = _mm512_add_epi32(_mm512_sll_epi32(m, k->shift), k->rebias);
        const vf32 q = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_add_epi32(p, doubled)), k->least);
        __m512i value = _mm512_castps_si512(_mm512_min_ps(_mm512_castsi512_ps(p), q));
        if (top == TOP_SPECIAL) {
            value = _mm512_mask_mov_epi32(value, _mm512_cmpgt_epi32_mask(m, k->max), _mm512_set1_epi32(0x7f800000));
            value = _mm512_mask_mov_epi32(value, _mm512_cmpgt_epi32_mask(m, k->last), nan);
        }
        if (top == TOP_FNUZ)
            value = _mm512_mask_mov_epi32(value, _mm512_cmpeq_epi32_mask(code, _mm512_set1_epi32(0x80)), nan);
        const __m512i sign = _mm512_sll_epi32(code, k->sign_shift);
        y[v] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_set1_epi32(INT32_MIN), sign, value, 0xca));
    }
}

struct widen_lanes {
    __m512i low[2], high[2]; /* bytes of codes 0-63, 64-127 */
    __m512i sign;            /* bit 7 of each byte, if that is the sign of a code */
    __m512i nan_low, nan_high;
};

static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    const struct widen_arithmetic a = widen_arithmetic_of(f);
    const enum widen_top top = widen_numbers_of(f).top;
    const __m512i low = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24,
                                         22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd_words = _mm512_add_epi16(low, _mm512_set1_epi16(1));
    struct widen_lanes k;
    for (int half = 0; half < 2; ++half) {
        vf32 y[4];
        __m512i word[2];
        PQK_ALIGNED(64) uint8_t count[64];
        for (int i = 0; i < 64; ++i) count[i] = (uint8_t)(64 * half + i);
        const __m512i codes = _mm512_loadu_si512(count);
        if (top == TOP_SPECIAL)
            widen_by_arithmetic(y, codes, &a, TOP_SPECIAL);
        else
            widen_by_arithmetic(y, codes, &a, TOP_FINITE); /* of 0x80 alone FNUZ thinks otherwise */
        for (int v = 0; v < 2; ++v)
            word[v] = type == PQK_F16 ? _mm512_inserti64x4(_mm512_castsi256_si512(f32_to_f16(y[2 * v])),
                                                           f32_to_f16(y[2 * v + 1]), 1)
                                      : _mm512_permutex2var_epi16(_mm512_castps_si512(y[2 * v]), odd_words,
                                                                  _mm512_castps_si512(y[2 * v + 1]));
        k.low[half] = words_to_bytes(word[0], word[1]);
        k.high[half] = words_to_bytes(_mm512_srli_epi16(word[0], 8), _mm512_srli_epi16(word[1], 8));
    }
    k.sign = _mm512_set1_epi8(pqk_sign_shift(f) == 7 ? -128 : 0);
    k.nan_low = _mm512_set1_epi8((char)(type == PQK_F16 ? 0x00 : 0xc0));
    k.nan_high = _mm512_set1_epi8((char)(type == PQK_F16 ? 0xfe : 0xff));
    return k;
}

/* The two bytes of each code. */
static PQK_INLINE void look_up(__m512i *low, __m512i *high, __m512i codes, const struct widen_lanes *k,
                               enum widen_top top)
{
    *low = _mm512_permutex2var_epi8(k->low[0], codes, k->low[1]); /* bit 7 of the index is not looked at */
    *high = _mm512_permutex2var_epi8(k->high[0], codes, k->high[1]);
    *high = _mm512_ternarylogic_epi32(*high, codes, k->sign, 0xf8); /* high | (codes & sign) */
    if (top == TOP_FNUZ) {
        const __mmask64 nan = _mm512_cmpeq_epi8_mask(codes, _mm512_set1_epi8(-128));
        *low = _mm512_mask_mov_epi8(*low, nan, k->nan_low);
        *high = _mm512_mask_mov_epi8(*high, nan, k->nan_high);
    }
}

/* To F16 or BF16, which the tables were made for. */
#define WIDEN_HALVES(type) ((type) != PQK_F32)
