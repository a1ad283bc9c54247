/* lanes_avx512vbmi.h -- widening by table, inside lanes_avx512.h: VPERMI2B looks 64 codes up among 128 bytes.
 *
 * Every number of an 8-bit format is a bfloat16, the upper half of a float32, and a float16.  The low seven bits of
 * the code choose its two bytes, made in lanes_avx512.h's way when a tile begins; bit 7 is the sign.
 */
struct widen_lanes {
    __m512i low[2], high[2]; /* bytes of codes 0-63, 64-127 */
    __m512i sign;            /* bit 7 of each byte, if that is the sign of a code */
    __m512i nan_low, nan_high;
};

static PQK_INLINE struct widen_lanes widen_lanes_of(const struct pqk_float_format *f, pqk_type type)
{
    const struct widen_bytes by = widen_bytes_of(f);
    const enum widen_top top = widen_numbers_of(f).top;
    struct widen_lanes k;
    for (int half = 0; half < 2; ++half) {
        vf32 y[4];
        __m512i low, high, word[2];
        PQK_ALIGNED(64) uint8_t count[64];
        for (int i = 0; i < 64; ++i) count[i] = (uint8_t)(64 * half + i);
        const __m512i codes = in_order_8(_mm512_loadu_si512(count));
        if (top == TOP_SPECIAL)
            widen_in_bytes(&low, &high, codes, &by, TOP_SPECIAL);
        else
            widen_in_bytes(&low, &high, codes, &by, TOP_FINITE); /* of 0x80 alone FNUZ thinks otherwise */
        k.low[half] = in_order_8(low);                           /* which is its own inverse */
        k.high[half] = in_order_8(high);
        if (type != PQK_F16) continue;
        floats_of_bytes(y, low, high);
        for (int v = 0; v < 2; ++v)
            word[v] = _mm512_inserti64x4(_mm512_castsi256_si512(f32_to_f16(y[2 * v])), f32_to_f16(y[2 * v + 1]), 1);
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
