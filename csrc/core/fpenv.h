/* fpenv.h -- the floating-point environment in which every kernel runs.
 *
 *     const pqk_fpenv found = pqk_fpenv_enter();
 *     ... call kernels ...
 *     pqk_fpenv_leave(found);
 *
 * Between the two: round to nearest (ties to even), subnormals kept on input and output, NaN
 * payloads kept, IEEE half precision, every exception masked.  Some libraries switch on
 * flush-to-zero for a whole process when they are loaded; results must not depend on it.
 * Afterwards the caller finds its own environment again, sticky exception flags included: our
 * arithmetic leaves no trace.
 *
 * In the usual environment nothing is written on entry, because a write (LDMXCSR, MSR FPCR)
 * costs several times a read.
 *
 * Compilers do not know that float arithmetic depends on this register and may move a lone
 * `a / b` across these calls.  So the function that holds the guard does none: it calls, through
 * the dispatch table or the pool, functions that do.
 */
#ifndef PQK_FPENV_H
#define PQK_FPENV_H
#include <stdint.h>
#include "core/macros.h"

#if defined(PQK_X86)
#include <xmmintrin.h>

typedef struct {
    uint32_t mxcsr;
} pqk_fpenv;

enum {
    PQK_MXCSR_FLAGS = 0x003f,   /* sticky exception flags; all other bits are control bits */
    PQK_MXCSR_DEFAULT = 0x1f80, /* all six exceptions masked, nearest, FTZ and DAZ off */
};

static inline pqk_fpenv pqk_fpenv_enter(void)
{
    const pqk_fpenv found = {_mm_getcsr()};
    if ((found.mxcsr & ~(uint32_t)PQK_MXCSR_FLAGS) != PQK_MXCSR_DEFAULT) _mm_setcsr(PQK_MXCSR_DEFAULT);
    return found;
}

static inline void pqk_fpenv_leave(pqk_fpenv found)
{
    if (_mm_getcsr() != found.mxcsr) _mm_setcsr(found.mxcsr);
}

#elif defined(PQK_ARM64)

typedef struct {
    uint64_t fpcr, fpsr;
} pqk_fpenv;

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
static inline uint64_t pqk_get_fpcr(void) { return (uint64_t)_ReadStatusReg(ARM64_FPCR); }
static inline uint64_t pqk_get_fpsr(void) { return (uint64_t)_ReadStatusReg(ARM64_FPSR); }
static inline void pqk_set_fpcr(uint64_t x) { _WriteStatusReg(ARM64_FPCR, (__int64)x); }
static inline void pqk_set_fpsr(uint64_t x) { _WriteStatusReg(ARM64_FPSR, (__int64)x); }
#else
static inline uint64_t pqk_get_fpcr(void)
{
    uint64_t x;
    __asm__ volatile("mrs %0, fpcr" : "=r"(x));
    return x;
}
static inline uint64_t pqk_get_fpsr(void)
{
    uint64_t x;
    __asm__ volatile("mrs %0, fpsr" : "=r"(x));
    return x;
}
static inline void pqk_set_fpcr(uint64_t x) { __asm__ volatile("msr fpcr, %0" : : "r"(x)); }
static inline void pqk_set_fpsr(uint64_t x) { __asm__ volatile("msr fpsr, %0" : : "r"(x)); }
#endif

/* Control bits that change results or trap: FIZ AH NEP (0-2), trap enables (8-12, 15), FZ16 (19),
 * rounding mode (22-23), FZ (24), default NaN (25), alternative half precision (26). */
static const uint64_t pqk_fpcr_ours = 0x07c89f07;

static inline pqk_fpenv pqk_fpenv_enter(void)
{
    const pqk_fpenv found = {pqk_get_fpcr(), pqk_get_fpsr()};
    if (found.fpcr & pqk_fpcr_ours) pqk_set_fpcr(found.fpcr & ~pqk_fpcr_ours);
    return found;
}

static inline void pqk_fpenv_leave(pqk_fpenv found)
{
    if (found.fpcr & pqk_fpcr_ours) pqk_set_fpcr(found.fpcr);
    if (pqk_get_fpsr() != found.fpsr) pqk_set_fpsr(found.fpsr);
}

#else
#include <fenv.h>

typedef fenv_t pqk_fpenv;

static inline pqk_fpenv pqk_fpenv_enter(void)
{
    pqk_fpenv found;
    (void)fegetenv(&found);
    (void)fesetenv(FE_DFL_ENV);
    return found;
}

static inline void pqk_fpenv_leave(pqk_fpenv found) { (void)fesetenv(&found); }

#endif

#endif
