/* roofline_avx2.c -- see roofline.h for the contract, roofline_tpl.h for the loop. */
#define PQK_ISA avx2
#include <immintrin.h>
#include "core/macros.h"

typedef __m256i raw;
static PQK_INLINE raw raw_load(const char *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static PQK_INLINE raw raw_or(raw a, raw b) { return _mm256_or_si256(a, b); }
static PQK_INLINE void raw_store(char *p, raw x) { _mm256_storeu_si256((__m256i *)(void *)p, x); }
static PQK_INLINE void raw_stream(char *p, raw x) { _mm256_stream_si256((__m256i *)(void *)p, x); }
static PQK_INLINE void raw_stream_end(void) { _mm_sfence(); }

#include "roofline/roofline_tpl.h"
