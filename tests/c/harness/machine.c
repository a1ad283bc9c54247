/* machine.c -- what the CPU's state should look like after a kernel, faults, and the clock. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE 1
#endif
#include "core/fpenv.h"
#include "core/macros.h"
#include "harness.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *machine_running = "no kernel";
char machine_case[256];

/* ---- the floating-point control word: all but the sticky exception flags, which arithmetic may set */

static uint64_t control_word(void)
{
#if defined(PQK_X86)
    return _mm_getcsr() & ~(uint32_t)PQK_MXCSR_FLAGS;
#elif defined(PQK_ARM64)
    return pqk_get_fpcr();
#else
    return 0;
#endif
}
static uint64_t control_before;

/* ---- upper halves: code after a kernel that leaves them dirty pays on each SSE instruction.  XGETBV(1) tells
 * which states are in use; whether it does so on this machine is tried first. */

#if defined(PQK_X86) && defined(__GNUC__)
#include <cpuid.h>

enum { AVX_STATE = 1 << 2, ZMM_HIGH_STATE = 1 << 6 };
/* Sanitizers keep the words of simd/ from being inlined (core/macros.h). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || PQK_HAS_FEATURE(address_sanitizer) || \
    PQK_HAS_FEATURE(memory_sanitizer) || PQK_HAS_FEATURE(thread_sanitizer) ||                              \
    PQK_HAS_FEATURE(undefined_behavior_sanitizer)
enum { WORDS_INLINED = 0 };
#else
enum { WORDS_INLINED = 1 };
#endif
static bool can_see_uppers;

static uint32_t states_in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return low;
}
static void clear_uppers(void) { __asm__ volatile("vzeroupper" ::: "xmm0", "xmm1", "xmm2", "xmm3"); }
static void dirty_uppers(void)
{
    __asm__ volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n\tvinsertf128 $1, %%xmm0, %%ymm0, %%ymm0" ::: "xmm0");
}

/* A CPU may call a state in use that is not: seen once in 10^5 to 10^6 kernels where other processes take the core in
 * turns.  What a kernel leaves is hardly ever all zeros, so zeros are clean.  No function is called before the
 * registers are read: that of a C library may clear them. */
static struct {
    char ymm[16][16], zmm[16][32];
} high;
#define KEEP(i)                                                               \
    __asm__ volatile("vextractf128 $1, %%ymm" #i ", %0" : "=m"(high.ymm[i])); \
    if (zmm) __asm__ volatile("vextractf64x4 $1, %%zmm" #i ", %0" : "=m"(high.zmm[i]))
static bool high_halves_are_zero(bool zmm)
{
    KEEP(0);
    KEEP(1);
    KEEP(2);
    KEEP(3);
    KEEP(4);
    KEEP(5);
    KEEP(6);
    KEEP(7);
    KEEP(8);
    KEEP(9);
    KEEP(10);
    KEEP(11);
    KEEP(12);
    KEEP(13);
    KEEP(14);
    KEEP(15);
    char any = 0;
    for (int i = 0; i < 16; ++i) {
        for (int j = 0; j < 16; ++j) any |= high.ymm[i][j];
        for (int j = 0; zmm && j < 32; ++j) any |= high.zmm[i][j];
    }
    return !any;
}
static bool try_to_see_uppers(void)
{
    unsigned a, b, c, d;
    if (!WORDS_INLINED) return false; /* words that are functions leave VZEROUPPER to nobody */
    if (!(pqk_cpu_features() & PQK_AVX2)) return false;
    if (!__get_cpuid_count(13, 1, &a, &b, &c, &d) || !(a & 4)) return false;
    dirty_uppers();
    const bool seen_dirty = states_in_use() & AVX_STATE;
    const bool seen_contents = !high_halves_are_zero(false);
    clear_uppers();
    return seen_dirty && seen_contents && !(states_in_use() & AVX_STATE);
}
static bool uppers_clean(void)
{
    const uint32_t states = can_see_uppers ? states_in_use() : 0;
    return !(states & (AVX_STATE | ZMM_HIGH_STATE)) || high_halves_are_zero(states & ZMM_HIGH_STATE);
}
bool machine_keeps_zeros(void)
{
    static const float zero = 0.0f;
    float y = 0.0f;
    if (!(pqk_cpu_features() & PQK_AVX2)) return true;
    __asm__("vfnmadd213ss %1, %0, %0" : "+x"(y) : "m"(zero)); /* -(0 * 0) + 0 */
    return !(bits_of(y) >> 31);
}
#else
enum { can_see_uppers = 0 };
static void clear_uppers(void) {}
static bool uppers_clean(void) { return true; }
bool machine_keeps_zeros(void) { return true; }
#endif

void machine_before_kernel(void)
{
    if (can_see_uppers) clear_uppers();
    control_before = control_word();
}

/* A tile of no columns, which tiles.c never makes, may leave them: GCC forgets VZEROUPPER where a loop is not entered.
 */
const char *machine_after_kernel(size_t n)
{
    if (n && !uppers_clean()) return "left the upper halves of vector registers in use (no VZEROUPPER)";
    if (control_word() != control_before) return "changed the floating-point control word";
    return NULL;
}

const char *machine_notes(void)
{
#if defined(PQK_X86)
    return can_see_uppers ? "upper halves of registers watched"
                          : "upper halves not watched: a sanitizer's build, or XGETBV(1) does not tell";
#else
    return "no upper halves of registers on this CPU";
#endif
}

/* ---- faults */

#if !defined(__SANITIZE_ADDRESS__) && !defined(_WIN32)
#include <unistd.h>

static void say(const char *text)
{
    if (write(2, text, strlen(text)) < 0) _exit(3);
}
static void on_fault(int signal_number)
{
    say(signal_number == SIGILL   ? "\nFAILED: illegal instruction in "
        : signal_number == SIGFPE ? "\nFAILED: floating-point or integer trap in "
                                  : "\nFAILED: read or wrote outside an array: ");
    say(machine_running);
    say("\n  ");
    say(machine_case);
    say("\n");
    _exit(3);
}
static void catch_faults(void)
{
    static char stack[64 << 10]; /* of its own: a fault may be an overflow of the other one */
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, NULL);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK;
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) sigaction(signals[i], &action, NULL);
}
#else
static void catch_faults(void) {} /* the sanitizer, or the system's dialogue, says more */
#endif

void machine_init(void)
{
#if defined(PQK_X86) && defined(__GNUC__)
    can_see_uppers = try_to_see_uppers();
#endif
    catch_faults();
}

/* ---- clock */

#if defined(PQK_X86) && defined(__GNUC__)
const char *const machine_clock_unit = "TSC cycles";
double machine_clock(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high)::"rcx");
    return (double)((uint64_t)high << 32 | low);
}
#else
const char *const machine_clock_unit = "ns";
double machine_clock(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}
#endif
