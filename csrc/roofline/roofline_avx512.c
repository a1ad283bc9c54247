/* roofline_avx512.c -- see roofline.h for the contract, roofline_tpl.h for the loop. */
#define PQK_ISA avx512
#include <immintrin.h>
#include "core/macros.h"

typedef __m512i raw;
static PQK_INLINE raw raw_load(const char *p) { return _mm512_loadu_si512(p); }
static PQK_INLINE raw raw_or(raw a, raw b) { return _mm512_or_si512(a, b); }
static PQK_INLINE void raw_store(char *p, raw x) { _mm512_storeu_si512(p, x); }
static PQK_INLINE void raw_stream(char *p, raw x) { _mm512_stream_si512((void *)p, x); }
static PQK_INLINE void raw_stream_end(void) { _mm_sfence(); }

#include "roofline/roofline_tpl.h"
