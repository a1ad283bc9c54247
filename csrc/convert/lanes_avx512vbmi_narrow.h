/* lanes_avx512vbmi_narrow.h -- narrowing by table, inside lanes_avx512.h: 64 codes at a time, in bytes.
 *
 * Only the upper half h of a float32 is looked at, with the OR of its lower half in its lowest bit: seven bits of
 * mantissa are at least two more than any narrow format keeps.  h falls into two bytes,
 *
 *     high = s eeeeeee    low = e mmmmmmm        VPERMI2B looks at 7 bits: neither s nor the last e disturbs
 *
 * and with a unit of 2^M codes a binade,
 *
 *     base   of high, + unit where low's top bit is set: the binade's place, tiny and huge ones at the ends
 *     round  of low: the mantissa to M bits, half to even
 *     code = base + round                        for normal numbers; its carry goes to the next binade
 *
 * Subnormals drop more bits, in each binade others, but the places where one of their binades rounds differently are
 * odd multiples of a power of two that is its own, so that all of them together are the 2^M multiples of 2^-M:
 *
 *     step   of low: how many of these lie below, a tie counting as one below where its own binade rounds it up
 *     code = small of (base + step)              for what is less than the least normal number
 *
 * The last step of a binade is the first of the next one, which is right: both are the same power of two. */
enum {
    HUGE_BASE = 224, /* above every format's limit with what is added to `base` below, and a byte with 2^M more */
    TOP_BASE = 232   /* the binades of 2^127, infinity and NaN; also one */
};

struct narrow_lanes {
    __m512i base[2], round[2], step[2], small[2];
    __m512i unit, normal, limit, sign; /* normal: base of the least one */
    __m512i even, odd;                 /* bytes of words */
    __m512i low, high;                 /* words of dwords */
};

/* The tables for 64 values of their index, i. */
static PQK_INLINE void narrow_tables_of(struct narrow_lanes *k, int half, const struct pqk_float_format *f,
                                        const struct narrow_arithmetic *a)
{
    const int m = f->mantissa_bits, unit = 1 << m, first = 125 - f->bias - m; /* exponent field of i = 0 */
    const __m128i to_unit = _mm_cvtsi32_si128(m), cut = _mm_cvtsi32_si128(7 - m);
    const __m512i one = _mm512_set1_epi16(1), below_half = _mm512_set1_epi16((int16_t)((64 >> m) - 1));
    __m512i base[2], round[2], step[2];
    vf32 x[4];
    for (int v = 0; v < 2; ++v) {
        const __m512i i = _mm512_add_epi16(_mm512_srli_epi16(a->low, 1) /* 0, 1, ... */,
                                           _mm512_set1_epi16((int16_t)(64 * half + 32 * v)));
        const __m512i place =
            _mm512_sll_epi16(_mm512_sub_epi16(_mm512_add_epi16(i, i), _mm512_set1_epi16((int16_t)first)), to_unit);
        base[v] = _mm512_min_epi16(_mm512_max_epi16(place, _mm512_setzero_si512()), _mm512_set1_epi16(HUGE_BASE));
        base[v] = _mm512_mask_mov_epi16(base[v], _mm512_cmpeq_epi16_mask(i, _mm512_set1_epi16(127)),
                                        _mm512_set1_epi16(TOP_BASE));

        const __m512i kept = _mm512_srl_epi16(i, cut);
        const __m512i up = _mm512_add_epi16(below_half, _mm512_and_si512(kept, one));
        round[v] = _mm512_sub_epi16(_mm512_srl_epi16(_mm512_add_epi16(i, up), cut),
                                    _mm512_set1_epi16((int16_t)((m + 2) * unit)));

        /* a tie at `kept`: the bit above its lowest one is the parity of what its binade keeps */
        const __m512i whole = _mm512_or_si512(kept, _mm512_set1_epi16((int16_t)unit));
        const __m512i lowest = _mm512_and_si512(whole, _mm512_sub_epi16(_mm512_setzero_si512(), whole));
        const __m512i odd = _mm512_and_si512(whole, _mm512_add_epi16(lowest, lowest));
        const __m512i rest = _mm512_and_si512(i, _mm512_set1_epi16((int16_t)((128 >> m) - 1)));
        const __m512i passed = _mm512_or_si512(odd, rest);
        step[v] = _mm512_mask_add_epi16(kept, _mm512_test_epi16_mask(passed, passed), kept, one);
    }
    k->base[half] = words_to_bytes(base[0], base[1]);
    k->round[half] = words_to_bytes(round[0], round[1]);
    k->step[half] = words_to_bytes(step[0], step[1]);
    for (int v = 0; v < 4; ++v) { /* a number for each step: the power of two, or just above a place */
        const __m512i i = _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                           _mm512_set1_epi32(64 * half + 16 * v + first * unit));
        const __m512i above = _mm512_set1_epi32((1 << (23 - m)) - 1);
        const __m512i bits = _mm512_sll_epi32(i, _mm_cvtsi32_si128(23 - m));
        const __mmask16 inside = _mm512_test_epi32_mask(i, _mm512_set1_epi32(unit - 1));
        x[v] = _mm512_castsi512_ps(_mm512_mask_sub_epi32(bits, inside, bits, above));
    }
    k->small[half] = narrow_by_arithmetic(x, a, false);
}

static PQK_INLINE struct narrow_lanes narrow_lanes_of(const struct pqk_float_format *f, bool saturate)
{
    const struct narrow_arithmetic a = narrow_arithmetic_of(f, saturate);
    const int m = f->mantissa_bits;
    struct narrow_lanes k;
    for (int half = 0; half < 2; ++half) narrow_tables_of(&k, half, f, &a);
    k.unit = _mm512_set1_epi8((char)(1 << m));
    k.normal = _mm512_set1_epi8((char)((m + 3) << m));
    k.limit = _mm512_set1_epi8((char)(saturate ? f->max : f->overflow));
    k.sign = _mm512_set1_epi8((char)(1 << pqk_sign_shift(f)));
    k.even = even_bytes();
    k.odd = _mm512_add_epi8(k.even, _mm512_set1_epi8(1));
    k.low = a.low;
    k.high = a.high;
    return k;
}

/* Codes of upper halves.  top: not 0 if one of them may be NaN, whose code is then undefined. */
static PQK_INLINE v8 narrow_words(__m512i a, __m512i b, const struct narrow_lanes *k, bool fnuz, __mmask64 *top)
{
    const __m512i low = _mm512_permutex2var_epi8(a, k->even, b), high = _mm512_permutex2var_epi8(a, k->odd, b);
    const __m512i pair = _mm512_permutex2var_epi8(k->base[0], high, k->base[1]);
    const __m512i base = _mm512_mask_add_epi8(pair, _mm512_movepi8_mask(low), pair, k->unit);
    const __m512i round = _mm512_permutex2var_epi8(k->round[0], low, k->round[1]);
    const __m512i step = _mm512_permutex2var_epi8(k->step[0], low, k->step[1]);
    const __mmask64 small = _mm512_cmplt_epu8_mask(base, k->normal), negative = _mm512_movepi8_mask(high);
    *top = _mm512_cmpeq_epi8_mask(pair, _mm512_set1_epi8((char)TOP_BASE));

    __m512i code = _mm512_mask_add_epi8(_mm512_add_epi8(base, round), small, base, step);
    code = _mm512_mask2_permutex2var_epi8(k->small[0], code, small, k->small[1]); /* others stay */
    code = _mm512_min_epu8(code, k->limit);
    if (!fnuz) return _mm512_mask_add_epi8(code, negative, code, k->sign);
    /* no negative zero; the magnitude 0x80, NaN, has no sign either: OR-ed, it is there already */
    const __mmask64 shown = _mm512_mask_test_epi8_mask(negative, code, code);
    return _mm512_or_si512(code, _mm512_maskz_mov_epi8(shown, k->sign));
}

static PQK_INLINE __m512i upper_halves(vf32 x, vf32 y, const struct narrow_lanes *k)
{
    const __m512i a = _mm512_castps_si512(x), b = _mm512_castps_si512(y);
    const __m512i rest = _mm512_min_epu16(_mm512_permutex2var_epi16(a, k->low, b), _mm512_set1_epi16(1));
    return _mm512_or_si512(_mm512_permutex2var_epi16(a, k->high, b), rest);
}

static PQK_INLINE v8 narrow_block(const vf32 x[4], const struct narrow_lanes *k, bool fnuz)
{
    __mmask64 top;
    return narrow_words(upper_halves(x[0], x[1], k), upper_halves(x[2], x[3], k), k, fnuz, &top);
}

/* 64 BF16, which need no widening; false, and nothing stored, if one of them may be NaN. */
#define NARROW_HALVES 1
static PQK_INLINE bool narrow_halves(char *y, const char *x, const struct narrow_lanes *k, bool fnuz)
{
    __mmask64 top;
    const v8 codes = narrow_words(_mm512_loadu_si512(x), _mm512_loadu_si512(x + 64), k, fnuz, &top);
    if (top) return false;
    v8_store(y, codes);
    return true;
}
