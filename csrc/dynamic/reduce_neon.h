/* reduce_neon.h -- 4 rows to their greatest lanes: lane i of the result is the maximum of m[i]. */
static PQK_INLINE vs32 max_of_rows(const vs32 m[VL])
{
    return vpmaxq_s32(vpmaxq_s32(m[0], m[1]), vpmaxq_s32(m[2], m[3]));
}
