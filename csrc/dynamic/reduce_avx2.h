/* reduce_avx2.h -- 8 rows to their greatest lanes: lane i of the result is the maximum of m[i].  reduce_avx512.h has
 * the idea. */
static PQK_INLINE vs32 max_of_halves(vs32 a, vs32 b)
{
    return _mm256_max_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}
static PQK_INLINE vs32 max_of_rows(const vs32 m[VL])
{
    vs32 four[2];
    unrolled_for (int i = 0; i < 2; ++i) {
        const vs32 ab = max_of_halves(m[4 * i], m[4 * i + 1]), cd = max_of_halves(m[4 * i + 2], m[4 * i + 3]);
        four[i] = _mm256_max_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    }
    return _mm256_max_epi32(_mm256_permute2x128_si256(four[0], four[1], 0x20),
                            _mm256_permute2x128_si256(four[0], four[1], 0x31));
}
