/* roofline_dot_avx2.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  The exact product of
 * bytes is that of 16-bit integers, 16 at a time. */
#define PQK_ISA avx2
#include <immintrin.h>
#include "core/macros.h"

typedef __m256i reg;
enum { REGISTERS = 12, OPERATIONS = 32 };
static PQK_INLINE reg dot(reg sum, reg b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(sum, b)); }
static PQK_INLINE reg reg_load(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }
static PQK_INLINE void reg_store(char *p, reg x) { _mm256_storeu_si256((__m256i *)p, x); }

#include "roofline/roofline_dot_tpl.h"
