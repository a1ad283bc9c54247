/* roofline_dot_dotprod.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  SDOT on 16 bytes. */
#define PQK_ISA dotprod
#include <arm_neon.h>
#include "core/macros.h"

typedef int32x4_t reg;
enum { REGISTERS = 16, OPERATIONS = 32 };
static PQK_INLINE reg dot(reg sum, reg b) { return vdotq_s32(sum, vreinterpretq_s8_s32(b), vreinterpretq_s8_s32(b)); }
static PQK_INLINE reg reg_load(const char *p) { return vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)p)); }
static PQK_INLINE void reg_store(char *p, reg x) { vst1q_u8((uint8_t *)p, vreinterpretq_u8_s32(x)); }

#include "roofline/roofline_dot_tpl.h"
