/* roofline_dot_avxvnni.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  VPDPBUSD on 32
 * bytes. */
#define PQK_ISA avxvnni
#include <immintrin.h>
#include "core/macros.h"

typedef __m256i reg;
enum { REGISTERS = 12, OPERATIONS = 64 };
static PQK_INLINE reg dot(reg sum, reg b) { return _mm256_dpbusd_avx_epi32(sum, b, b); }
static PQK_INLINE reg reg_load(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }
static PQK_INLINE void reg_store(char *p, reg x) { _mm256_storeu_si256((__m256i *)p, x); }

#include "roofline/roofline_dot_tpl.h"
