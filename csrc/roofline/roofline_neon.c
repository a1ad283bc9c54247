/* roofline_neon.c -- see roofline.h for the contract, roofline_tpl.h for the loop.  ARM's only hint for stores that
 * will not be read again (STNP) has no intrinsic; its cores notice long runs of whole lines by themselves. */
#define PQK_ISA neon
#include <arm_neon.h>
#include "core/macros.h"

typedef uint8x16_t raw;
static PQK_INLINE raw raw_load(const char *p) { return vld1q_u8((const uint8_t *)p); }
static PQK_INLINE raw raw_or(raw a, raw b) { return vorrq_u8(a, b); }
static PQK_INLINE void raw_store(char *p, raw x) { vst1q_u8((uint8_t *)p, x); }
static PQK_INLINE void raw_stream(char *p, raw x) { raw_store(p, x); }
static PQK_INLINE void raw_stream_end(void) {}

#include "roofline/roofline_tpl.h"
