/* roofline_dot_neon.c -- see roofline_dot.h for the contract, roofline_dot_tpl.h for the loop.  SMULL and SADALP: the
 * products of 8 bytes, added in pairs. */
#define PQK_ISA neon
#include <arm_neon.h>
#include "core/macros.h"

typedef int32x4_t reg;
enum { REGISTERS = 12, OPERATIONS = 16 };
static PQK_INLINE reg dot(reg sum, reg b)
{
    return vpadalq_s16(sum, vmull_s8(vget_low_s8(vreinterpretq_s8_s32(sum)), vget_low_s8(vreinterpretq_s8_s32(b))));
}
static PQK_INLINE reg reg_load(const char *p) { return vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)p)); }
static PQK_INLINE void reg_store(char *p, reg x) { vst1q_u8((uint8_t *)p, vreinterpretq_u8_s32(x)); }

#include "roofline/roofline_dot_tpl.h"
