/* reduce_scalar.h -- one row of one lane is its own maximum. */
static PQK_INLINE vs32 max_of_rows(const vs32 m[VL]) { return m[0]; }
