/* isa_arm64.c -- 64-bit Arm: the ID registers are the kernel's, so the system is asked.
 *
 * NEON is part of the base architecture; the dot products are optional until Armv8.4 (sdot) and
 * Armv8.6 (smmla).
 */
#include "core/isa.h"
#include "core/macros.h"

#if defined(PQK_ARM64)
#include <stdbool.h>

#if defined(__linux__) || defined(__FreeBSD__)
#include <sys/auxv.h>

/* The kernel's ABI (arch/arm64/include/uapi/asm/hwcap.h); old headers lack the second. */
enum { ASIMDDP = 1u << 20, HWCAP2_BIT_I8MM = 1u << 13 };

static unsigned long aux(unsigned long type)
{
#if defined(__FreeBSD__)
    unsigned long value = 0;
    (void)elf_aux_info((int)type, &value, sizeof value);
    return value;
#else
    return getauxval(type);
#endif
}

static bool has_dotprod(void) { return aux(AT_HWCAP) & ASIMDDP; }
static bool has_i8mm(void) { return aux(AT_HWCAP2) & HWCAP2_BIT_I8MM; }

#elif defined(__APPLE__)
#include <stddef.h>
#include <sys/sysctl.h>

static bool optional_feature(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}

static bool has_dotprod(void) { return optional_feature("hw.optional.arm.FEAT_DotProd"); }
static bool has_i8mm(void) { return optional_feature("hw.optional.arm.FEAT_I8MM"); }

#elif defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* winnt.h names them PF_ARM_V82_DP_... and PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE, but only recent
 * SDKs have the second.  An unknown number answers no. */
enum { PF_DOTPROD = 43, PF_I8MM = 66 };

static bool has_dotprod(void) { return IsProcessorFeaturePresent(PF_DOTPROD); }
static bool has_i8mm(void) { return IsProcessorFeaturePresent(PF_I8MM); }

#else
static bool has_dotprod(void) { return false; }
static bool has_i8mm(void) { return false; }
#endif

uint32_t pqk_detect_cpu_features(void)
{
    uint32_t features = PQK_NEON;
    if (has_dotprod()) features |= PQK_DOTPROD;
    if (has_i8mm()) features |= PQK_I8MM;
    return features;
}
#endif
