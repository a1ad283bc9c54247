/* test_isa.c -- the reported CPU features against two witnesses: what the compiler's runtime or
 * the kernel says, and the instructions themselves, which must run.
 *
 *     cc -Icsrc -pthread csrc/core/isa*.c tests/c/test_isa.c && ./a.out
 *
 * Prints the features, so that a run under an emulated CPU can be compared by eye.
 */
#include "core/isa.h"
#include "core/macros.h"
#include <stdio.h>
#include <string.h>

static int failures;

static void check(int ok, const char *what)
{
    if (ok) return;
    printf("FAILED: %s\n", what);
    ++failures;
}

static const struct {
    uint32_t bit;
    const char *name;
} features[] = {
    {PQK_AVX2,       "avx2"      },
    {PQK_AVXVNNI,    "avxvnni"   },
    {PQK_AVX512,     "avx512"    },
    {PQK_AVX512VNNI, "avx512vnni"},
    {PQK_AVX512VBMI, "avx512vbmi"},
    {PQK_NEON,       "neon"      },
    {PQK_DOTPROD,    "dotprod"   },
    {PQK_I8MM,       "i8mm"      },
};

#if defined(PQK_X86)
enum { POSSIBLE = PQK_AVX2 | PQK_AVXVNNI | PQK_AVX512 | PQK_AVX512VNNI | PQK_AVX512VBMI };

/* In assembly, so that this file needs no flags; each instruction is one of those that the layer's
 * flags allow.  {vex} VPDPBUSD is spelt in bytes for assemblers that do not know it. */
static void run_instructions(uint32_t cpu)
{
#if defined(__GNUC__)
    if (cpu & PQK_AVX2)
        __asm__ volatile("vpaddd %%ymm0, %%ymm0, %%ymm1\n\t"
                         "vfmadd231ps %%ymm0, %%ymm0, %%ymm1\n\t"
                         "vcvtph2ps %%xmm0, %%ymm1\n\t"
                         "vzeroupper" ::
                             : "xmm0", "xmm1");
    if (cpu & PQK_AVXVNNI)
        __asm__ volatile(".byte 0xc4, 0xe2, 0x7d, 0x50, 0xc8\n\t"
                         "vzeroupper" ::
                             : "xmm0", "xmm1");
    if (cpu & PQK_AVX512)
        __asm__ volatile("vpaddd %%zmm0, %%zmm0, %%zmm1\n\t"         /* F */
                         "vpaddb %%zmm0, %%zmm0, %%zmm1\n\t"         /* BW */
                         "vpmullq %%zmm0, %%zmm0, %%zmm1\n\t"        /* DQ */
                         "vpternlogd $0, %%ymm0, %%ymm0, %%ymm1\n\t" /* VL */
                         "vzeroupper" ::
                             : "xmm0", "xmm1");
    if (cpu & PQK_AVX512VNNI)
        __asm__ volatile("vpdpbusd %%zmm0, %%zmm0, %%zmm1\n\t"
                         "vzeroupper" ::
                             : "xmm0", "xmm1");
    if (cpu & PQK_AVX512VBMI)
        __asm__ volatile("vpermb %%zmm0, %%zmm0, %%zmm1\n\t"
                         "vzeroupper" ::
                             : "xmm0", "xmm1");
#else
    (void)cpu;
#endif
}

static void ask_compiler_runtime(uint32_t cpu)
{
#if defined(__GNUC__) && !defined(__clang__) && !defined(__APPLE__) && __GNUC__ >= 11
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    check(!(cpu & PQK_AVX2) == !avx2, "avx2 against the compiler's runtime");
    check(!(cpu & PQK_AVX512) == !avx512, "avx512 against the compiler's runtime");
    check(!(cpu & PQK_AVX512VNNI) == !(avx512 && __builtin_cpu_supports("avx512vnni")),
          "avx512vnni against the compiler's runtime");
    check(!(cpu & PQK_AVX512VBMI) == !(avx512 && __builtin_cpu_supports("avx512vbmi")),
          "avx512vbmi against the compiler's runtime");
    check(!(cpu & PQK_AVXVNNI) == !(avx2 && __builtin_cpu_supports("avxvnni")),
          "avxvnni against the compiler's runtime");
#else
    (void)cpu;
#endif
}

#elif defined(PQK_ARM64)
enum { POSSIBLE = PQK_NEON | PQK_DOTPROD | PQK_I8MM };

static void run_instructions(uint32_t cpu)
{
#if defined(__GNUC__)
    if (cpu & PQK_DOTPROD) __asm__ volatile(".inst 0x4e829420" ::: "v0"); /* sdot v0.4s, v1.16b, v2.16b */
    if (cpu & PQK_I8MM) __asm__ volatile(".inst 0x4e82a420" ::: "v0");    /* smmla, the same */
#else
    (void)cpu;
#endif
}

/* The kernel's words for the same bits.  An emulator shows the host's file: no such line there. */
static void ask_compiler_runtime(uint32_t cpu)
{
    static char line[4096];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Features", 8)) continue;
        check(strstr(line, " asimd") != NULL, "neon against the kernel");
        check(!(cpu & PQK_DOTPROD) == !strstr(line, " asimddp"), "dotprod against the kernel");
        check(!(cpu & PQK_I8MM) == !strstr(line, " i8mm"), "i8mm against the kernel");
        break;
    }
    if (f != NULL) fclose(f);
}

#else
enum { POSSIBLE = 0 };
static void run_instructions(uint32_t cpu) { (void)cpu; }
static void ask_compiler_runtime(uint32_t cpu) { (void)cpu; }
#endif

int main(void)
{
    const uint32_t cpu = pqk_cpu_features();
    printf("features:");
    for (size_t i = 0; i < sizeof features / sizeof *features; ++i)
        if (cpu & features[i].bit) printf(" %s", features[i].name);
    printf("\n");
    fflush(stdout); /* an illegal instruction must not swallow the line */

    check((cpu & ~(uint32_t)POSSIBLE) == 0, "only features of this architecture");
    check(!(cpu & PQK_AVX512) || (cpu & PQK_AVX2), "avx512 implies avx2");
    check(!(cpu & (PQK_AVX512VNNI | PQK_AVX512VBMI)) || (cpu & PQK_AVX512), "avx512vnni and avx512vbmi imply avx512");
    check(!(cpu & PQK_AVXVNNI) || (cpu & PQK_AVX2), "avxvnni implies avx2");
    check(cpu == pqk_cpu_features(), "the second answer is the first");
    check(cpu == pqk_detect_cpu_features(), "the remembered answer is the detected one");
    ask_compiler_runtime(cpu);
    run_instructions(cpu);
    return failures != 0;
}
