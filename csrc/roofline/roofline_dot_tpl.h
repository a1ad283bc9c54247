/* roofline_dot_tpl.h -- the loop of every instruction set.
 *
 * Include after defining PQK_ISA, and: reg, a register; REGISTERS, how many accumulate; OPERATIONS, multiplications and
 * additions of one dot(); dot(sum, b), of which the next depends on the result; reg_load(p), reg_store(p, x).
 */
#include "roofline/roofline_dot.h"
#include "core/macros.h"

#ifndef ROOFLINE_LOOP
#define ROOFLINE_LOOP roofline_dot
#endif
#define ROOFLINE_NAME PQK_CAT(PQK_CAT(pqk, ROOFLINE_LOOP), PQK_ISA)

extern pqk_roofline_dot_fn ROOFLINE_NAME;

int ROOFLINE_NAME(size_t steps, void *sums)
{
    enum { SIZE = sizeof(reg) };
    _Static_assert(REGISTERS * SIZE <= PQK_ROOFLINE_DOT_SUMS, "the caller has less room");
    char *p = sums;
    reg sum[REGISTERS];
    const reg b = reg_load(p);
    unrolled_for (int i = 0; i < REGISTERS; ++i) sum[i] = reg_load(p + i * SIZE);
    for (size_t step = 0; step < steps; ++step)
        unrolled_for (int i = 0; i < REGISTERS; ++i) sum[i] = dot(sum[i], b);
    unrolled_for (int i = 0; i < REGISTERS; ++i) reg_store(p + i * SIZE, sum[i]);
    return REGISTERS * OPERATIONS;
}
