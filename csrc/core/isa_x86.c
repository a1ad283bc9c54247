/* isa_x86.c -- x86-64: CPUID says what the CPU has, XCR0 which registers the system saves.
 *
 * Bit positions: Intel SDM volume 2A, CPUID leaves 1 and 7; volume 1 section 13.1 for XCR0.
 */
#include "core/isa.h"
#include "core/macros.h"

#if defined(PQK_X86)
#include <stdbool.h>

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

#if defined(_MSC_VER)
#include <intrin.h>
#include <immintrin.h>

static struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    int r[4];
    __cpuidex(r, (int)leaf, (int)subleaf);
    return (struct cpuid){(uint32_t)r[0], (uint32_t)r[1], (uint32_t)r[2], (uint32_t)r[3]};
}

static uint64_t xcr0(void) { return _xgetbv(0); }
#else
#include <cpuid.h>

static struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

/* Not _xgetbv(): that intrinsic needs -mxsave, which no file outside the layers may have. */
static uint64_t xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
#endif

#if defined(__APPLE__)
#include <stdlib.h>
#include <sys/sysctl.h>

/* macOS gives a thread its ZMM state at the first AVX-512 instruction, which faults once, and
 * until then XCR0 denies that the state exists.  So the kernel's promise is asked for instead.
 * Before Darwin 21.3 (macOS 12.2) signal delivery could corrupt the mask registers. */
static bool system_saves_zmm(uint64_t xcr)
{
    (void)xcr;
    int promised = 0;
    size_t size = sizeof promised;
    if (sysctlbyname("hw.optional.avx512f", &promised, &size, NULL, 0) || !promised) return false;

    char release[32] = "";
    size = sizeof release - 1;
    if (sysctlbyname("kern.osrelease", release, &size, NULL, 0)) return false;
    char *minor = NULL;
    const long major = strtol(release, &minor, 10);
    return major > 21 || (major == 21 && *minor == '.' && strtol(minor + 1, NULL, 10) >= 3);
}
#else
/* Opmask, the upper halves of ZMM0-15, and ZMM16-31, beside XMM and YMM. */
static bool system_saves_zmm(uint64_t xcr) { return (xcr & 0xe6) == 0xe6; }
#endif

static bool has(uint32_t reg, unsigned bit) { return reg >> bit & 1; }

uint32_t pqk_detect_cpu_features(void)
{
    const uint32_t last_leaf = cpuid(0, 0).eax;
    if (last_leaf < 7) return 0;

    const struct cpuid l1 = cpuid(1, 0);
    const bool osxsave = has(l1.ecx, 27); /* without it XGETBV is an illegal instruction */
    if (!osxsave) return 0;
    const uint64_t xcr = xcr0();
    const bool system_saves_ymm = (xcr & 0x06) == 0x06;

    const struct cpuid l7 = cpuid(7, 0);
    const bool avx = has(l1.ecx, 28), fma = has(l1.ecx, 12), f16c = has(l1.ecx, 29);
    if (!(system_saves_ymm && avx && fma && f16c && has(l7.ebx, 5))) return 0;

    uint32_t features = PQK_AVX2;
    const uint32_t last_subleaf = l7.eax;
    if (last_subleaf >= 1 && has(cpuid(7, 1).eax, 4)) features |= PQK_AVXVNNI;

    const bool f = has(l7.ebx, 16), dq = has(l7.ebx, 17), bw = has(l7.ebx, 30), vl = has(l7.ebx, 31);
    if (f && dq && bw && vl && system_saves_zmm(xcr)) {
        features |= PQK_AVX512;
        if (has(l7.ecx, 11)) features |= PQK_AVX512VNNI;
        if (has(l7.ecx, 1)) features |= PQK_AVX512VBMI;
    }
    return features;
}
#endif
