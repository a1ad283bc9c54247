/* roofline_fma_tpl.h -- the fused multiply-add of any vocabulary, through the loop of roofline_dot_tpl.h.  sum * b +
 * sum stays at sum, because b is tiny. */
#include "core/macros.h"

#define ROOFLINE_LOOP roofline_fma
typedef vf32 reg;
enum { REGISTERS = VL == 1 || VL == 8 ? 12 : 24, OPERATIONS = 2 * VL }; /* of 16 registers, or of 32 */
static PQK_INLINE reg dot(reg sum, reg b) { return vf32_fma(sum, b, sum); }
static PQK_INLINE reg reg_load(const char *p) { return vf32_load_f32(p); }
static PQK_INLINE void reg_store(char *p, reg x) { vf32_store_f32(p, x); }

#include "roofline/roofline_dot_tpl.h"
