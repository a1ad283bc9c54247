/* roofline_scalar.c -- see roofline.h for the contract, roofline_tpl.h for the loop.  Words of 8 bytes, which a
 * compiler may join to vectors of the baseline instruction set: the scalar kernels are compiled the same way. */
#define PQK_ISA scalar
#include <stdint.h>
#include <string.h>
#include "core/macros.h"

typedef uint64_t raw;
static PQK_INLINE raw raw_load(const char *p)
{
    raw x;
    memcpy(&x, p, sizeof x);
    return x;
}
static PQK_INLINE raw raw_or(raw a, raw b) { return a | b; }
static PQK_INLINE void raw_store(char *p, raw x) { memcpy(p, &x, sizeof x); }
static PQK_INLINE void raw_stream(char *p, raw x) { raw_store(p, x); }
static PQK_INLINE void raw_stream_end(void) {}

#include "roofline/roofline_tpl.h"
