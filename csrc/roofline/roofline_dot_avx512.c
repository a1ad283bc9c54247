/* roofline_dot_avx512.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  The exact product of
 * bytes is that of 16-bit integers, 32 at a time. */
#define PQK_ISA avx512
#include <immintrin.h>
#include "core/macros.h"

typedef __m512i reg;
enum { REGISTERS = 24, OPERATIONS = 64 };
static PQK_INLINE reg dot(reg sum, reg b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(sum, b)); }
static PQK_INLINE reg reg_load(const char *p) { return _mm512_loadu_si512(p); }
static PQK_INLINE void reg_store(char *p, reg x) { _mm512_storeu_si512(p, x); }

#include "roofline/roofline_dot_tpl.h"
