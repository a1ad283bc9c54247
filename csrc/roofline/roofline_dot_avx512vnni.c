/* roofline_dot_avx512vnni.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  VPDPBUSD on 64
 * bytes. */
#define PQK_ISA avx512vnni
#include <immintrin.h>
#include "core/macros.h"

typedef __m512i reg;
enum { REGISTERS = 12, OPERATIONS = 128 };
static PQK_INLINE reg dot(reg sum, reg b) { return _mm512_dpbusd_epi32(sum, b, b); }
static PQK_INLINE reg reg_load(const char *p) { return _mm512_loadu_si512(p); }
static PQK_INLINE void reg_store(char *p, reg x) { _mm512_storeu_si512(p, x); }

#include "roofline/roofline_dot_tpl.h"
