/* entry_environment.c -- the floating-point environments that callers may be in: any rounding, subnormals flushed
 * on input and output, flags standing.  Exceptions stay masked: the harness itself computes. */
#include "core/fpenv.h"
#include "entry.h"

#if defined(PQK_X86)
struct environment environment_odd(struct rng *rng)
{
    const uint32_t rounding = rng_below(rng, 4) << 13, flush = rng_below(rng, 2) << 15, zeros = rng_below(rng, 2) << 6;
    const struct environment e = {_mm_getcsr(), PQK_MXCSR_DEFAULT | rounding | flush | zeros | rng_below(rng, 64)};
    _mm_setcsr((uint32_t)e.set);
    return e;
}
bool environment_restore(struct environment e)
{
    const uint32_t now = _mm_getcsr();
    _mm_setcsr((uint32_t)e.found);
    return now == e.set;
}
#elif defined(PQK_ARM64)
struct environment environment_odd(struct rng *rng)
{
    struct environment e = {pqk_get_fpcr(), 0};
    pqk_set_fpcr(e.found | (uint64_t)rng_below(rng, 16) << 22); /* rounding, FZ, default NaN */
    e.set = pqk_get_fpcr();
    return e;
}
bool environment_restore(struct environment e)
{
    const uint64_t now = pqk_get_fpcr();
    pqk_set_fpcr(e.found);
    return now == e.set;
}
#else
struct environment environment_odd(struct rng *rng) { return (void)rng, (struct environment){0, 0}; }
bool environment_restore(struct environment e) { return (void)e, true; }
#endif
