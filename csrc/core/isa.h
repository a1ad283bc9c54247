/* isa.h -- what a CPU can do, as one bit per feature that a kernel may need.
 *
 * A bit is set only if the CPU has the instructions *and* the operating system saves the
 * registers they use.  Each bit holds alone: a layer names every bit its compiler flags imply.
 */
#ifndef PQK_ISA_H
#define PQK_ISA_H
#include <stdint.h>

enum pqk_feature {
    PQK_AVX2 = 1u << 0, /* with FMA and F16C: all three are checked */
    PQK_AVXVNNI = 1u << 1,
    PQK_AVX512 = 1u << 2, /* F + BW + DQ + VL, the Skylake-X set; implies PQK_AVX2 */
    PQK_AVX512VNNI = 1u << 3,
    PQK_AVX512VBMI = 1u << 4,
    PQK_NEON = 1u << 8,
    PQK_DOTPROD = 1u << 9,
    PQK_I8MM = 1u << 10,
};

/* Features of this CPU that the operating system lets us use.  Asked once, then remembered. */
uint32_t pqk_cpu_features(void);

/* The question itself, one answer per architecture: isa_x86.c, isa_arm64.c. */
uint32_t pqk_detect_cpu_features(void);

#endif
