/* reduce_avx512.h -- 16 rows to their greatest lanes: lane i of the result is the maximum of m[i].
 *
 * Each step halves the lanes that a row still has and the registers: a0-3 b0-3 ... becomes a b c d in each 128 bits,
 * then 128 bits meet 128 bits.  45 operations where 16 reductions of one register are 144.
 */
static PQK_INLINE vs32 max_of_halves(vs32 a, vs32 b)
{
    return _mm512_max_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
static PQK_INLINE vs32 max_of_rows(const vs32 m[VL])
{
    vs32 four[4];
    unrolled_for (int i = 0; i < 4; ++i) {
        const vs32 ab = max_of_halves(m[4 * i], m[4 * i + 1]), cd = max_of_halves(m[4 * i + 2], m[4 * i + 3]);
        four[i] = _mm512_max_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    /* 128 bits 0-3 of rows 0-3 and of rows 4-7: lanes 0|2, 1|3 of each */
    const vs32 low =
        _mm512_max_epi32(_mm512_shuffle_i32x4(four[0], four[1], 0x44), _mm512_shuffle_i32x4(four[0], four[1], 0xee));
    const vs32 high =
        _mm512_max_epi32(_mm512_shuffle_i32x4(four[2], four[3], 0x44), _mm512_shuffle_i32x4(four[2], four[3], 0xee));
    return _mm512_max_epi32(_mm512_shuffle_i32x4(low, high, 0x88), _mm512_shuffle_i32x4(low, high, 0xdd));
}
