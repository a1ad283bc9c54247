/* gemm.h -- what the tests of the matrix product share.
 *
 *     gemm_kernel.c     packing functions and micro-kernels, each layer by itself
 *     gemm_float.c      micro-kernels of the float product
 *     gemm_epilogue.c   the epilogues of each layer
 *     oracle_gemm.c     pqk_epilogue's formulas again, and parameters that look for trouble
 *     entry_gemm.c      pqk_matmul, pqk_pack, pqk_unpack: every small shape, then any layout, groups, ranges, batches
 *     entry_gemm_errors.c   each wrong argument; allocations that fail
 */
#ifndef HARNESS_GEMM_H
#define HARNESS_GEMM_H
#include "gemm/epilogue.h"
#include "gemm/gemm.h"
#include "gemm_float/gemm_float.h"
#include "harness.h"

/* Bytes of an operand: constants that are an extreme of either sign, extremes that alternate, noise. */
void gemm_fill(struct rng *rng, uint8_t *bytes, size_t count);

/* What a byte is as S8 or U8. */
static inline int32_t gemm_value(uint8_t byte, bool is_unsigned) { return is_unsigned ? byte : (int8_t)byte; }

/* ---- oracle_gemm.c */

/* Parameters of an epilogue in guarded memory, each array ending at a forbidden page. */
struct gemm_space {
    struct guard a_zero_point, b_zero_point, a_scale, b_scale, bias, m0, shift;
};
struct gemm_space gemm_space_make(size_t vectors, size_t group_scales); /* the most elements */

/* The product that an epilogue is for. */
struct gemm_problem {
    int64_t m, n, k;
    pqk_type a, b, c;
    double typical; /* |acc| */
};
/* One that is allowed: c's type says which kinds are.  groups: may it have them? */
pqk_epilogue gemm_choose_epilogue(struct rng *rng, const struct gemm_space *space, const struct gemm_problem *p,
                                  bool groups);

/* Has it an activation that is a polynomial?  Then layers must agree with each other; nobody else knows the bits. */
bool gemm_is_curve(const pqk_epilogue *e);

/* What c (i, j) must be, as element `at` of a row; acc: the exact sums of the groups, or the one of all k.  With a
 * curve: as if there were no activation. */
void oracle_epilogue(const pqk_epilogue *e, const struct gemm_problem *p, const int32_t *acc, int64_t groups, int64_t i,
                     int64_t j, char *row, size_t at);

/* acc (a - u)(b - v) modulo 2^32 from sums of a b, a and b. */
int32_t oracle_zero_points(int64_t ab, int64_t row_sum, int64_t column_sum, int64_t k, int32_t u, int32_t v);

/* ---- entry_gemm.c, entry_gemm_errors.c */
void entry_gemm_case(struct harness *h, uint64_t number);
void test_entry_gemm(struct harness *h);
void test_entry_gemm_errors(struct harness *h);

/* ---- testers of slots */
void test_pqk_gemm_kernels(struct harness *h, pqk_gemm_kernels *kernels, pqk_gemm_kernels *reference);
void test_pqk_gemm_epilogue_kernels(struct harness *h, pqk_gemm_epilogue_kernels *kernels,
                                    pqk_gemm_epilogue_kernels *reference);

void test_pqk_gemm_float_kernels(struct harness *h, pqk_gemm_float_kernels *kernels, pqk_gemm_float_kernels *reference);

/* ---- gemm_bench.c: a row of the table of speeds; the layer is in use */
void bench_products_header(void);
void bench_products(const char *layer);

/* The kernels of avxvnni in an encoding that more CPUs have. */
void test_gemm_avxvnni_evex(struct harness *h);

/* Of test_oracle.c: the testers above hold every layer, the scalar one too, to the oracle. */
static inline void oracle_pqk_gemm_kernels(struct harness *h, pqk_gemm_kernels *kernels) { (void)h, (void)kernels; }
static inline void oracle_pqk_gemm_float_kernels(struct harness *h, pqk_gemm_float_kernels *kernels)
{
    (void)h, (void)kernels;
}
static inline void oracle_pqk_gemm_epilogue_kernels(struct harness *h, pqk_gemm_epilogue_kernels *kernels)
{
    (void)h, (void)kernels;
}

#endif
