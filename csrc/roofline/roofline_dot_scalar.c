/* roofline_dot_scalar.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  What a compiler makes
 * of plain integers, as it does of the scalar kernels. */
#define PQK_ISA scalar
#include <stdint.h>
#include <string.h>
#include "core/macros.h"

typedef uint32_t reg;
enum { REGISTERS = 8, OPERATIONS = 2 };
static PQK_INLINE reg dot(reg sum, reg b) { return sum + sum * b; }
static PQK_INLINE reg reg_load(const char *p)
{
    reg x;
    memcpy(&x, p, sizeof x);
    return x;
}
static PQK_INLINE void reg_store(char *p, reg x) { memcpy(p, &x, sizeof x); }

#include "roofline/roofline_dot_tpl.h"
