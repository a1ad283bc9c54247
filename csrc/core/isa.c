/* isa.c -- remembers the answer of isa_<architecture>.c. */
#include "core/isa.h"
#include "core/atomics.h"
#include "core/macros.h"

#if !defined(PQK_X86) && !defined(PQK_ARM64)
uint32_t pqk_detect_cpu_features(void) { return 0; }
#endif

uint32_t pqk_cpu_features(void)
{
    enum { ASKED = 1u << 30 };
    static pqk_atomic_u32 answer;

    uint32_t known = pqk_load_u32(&answer);
    if (known == 0) { /* two threads that ask at once get and store the same answer */
        known = pqk_detect_cpu_features() | ASKED;
        pqk_store_u32(&answer, known);
    }
    return known & ~(uint32_t)ASKED;
}
