/* thread_os.h -- threads, locks and a clock, in the spelling of POSIX or of Windows.
 *
 * Only what pool.c needs: detached threads, one mutex, condition variables.  SRWLOCK and
 * CONDITION_VARIABLE are in kernel32, so no library has to be added to the link.
 */
#ifndef PQK_THREAD_OS_H
#define PQK_THREAD_OS_H
#include <stdbool.h>
#include <stdint.h>
#include "core/macros.h"
#if defined(PQK_X86)
#include <emmintrin.h>
#endif

typedef void pqk_thread_fn(void);

enum { PQK_STACK_SIZE = 1 << 20 }; /* tiles in scratch need tens of KiB; the rest is never touched */

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <process.h>

typedef SRWLOCK pqk_mutex;
typedef CONDITION_VARIABLE pqk_cond;

static inline void pqk_mutex_init(pqk_mutex *m) { InitializeSRWLock(m); }
static inline void pqk_mutex_lock(pqk_mutex *m) { AcquireSRWLockExclusive(m); }
static inline void pqk_mutex_unlock(pqk_mutex *m) { ReleaseSRWLockExclusive(m); }
static inline void pqk_cond_init(pqk_cond *c) { InitializeConditionVariable(c); }
static inline void pqk_cond_wait(pqk_cond *c, pqk_mutex *m) { (void)SleepConditionVariableSRW(c, m, INFINITE, 0); }
static inline void pqk_cond_signal(pqk_cond *c) { WakeConditionVariable(c); }
static inline void pqk_cond_broadcast(pqk_cond *c) { WakeAllConditionVariable(c); }

#define PQK_MUTEX_INITIALIZER SRWLOCK_INIT
#define PQK_COND_INITIALIZER  CONDITION_VARIABLE_INIT

static inline void pqk_thread_yield(void) { (void)SwitchToThread(); }

static inline uint64_t pqk_clock_ns(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (uint64_t)((double)ticks.QuadPart * 1e9 / (double)per_second.QuadPart);
}

static unsigned __stdcall pqk_thread_entry(void *fn)
{
    (*(pqk_thread_fn **)fn)();
    return 0;
}

/* Starts a thread that nobody joins.  *fn lives as long as the process. */
static inline bool pqk_thread_start(pqk_thread_fn **fn)
{
    /* A sleeping worker's code must stay mapped even if somebody calls FreeLibrary. */
    HMODULE self;
    (void)GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR)fn,
                             &self);
    const uintptr_t thread =
        _beginthreadex(NULL, PQK_STACK_SIZE, pqk_thread_entry, (void *)fn, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (thread == 0) return false;
    CloseHandle((HANDLE)thread);
    return true;
}

#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

typedef pthread_mutex_t pqk_mutex;
typedef pthread_cond_t pqk_cond;

/* The return values report misuse, of which there is none: fixed objects, one lock at a time. */
static inline void pqk_mutex_init(pqk_mutex *m) { (void)pthread_mutex_init(m, NULL); }
static inline void pqk_mutex_lock(pqk_mutex *m) { (void)pthread_mutex_lock(m); }
static inline void pqk_mutex_unlock(pqk_mutex *m) { (void)pthread_mutex_unlock(m); }
static inline void pqk_cond_init(pqk_cond *c) { (void)pthread_cond_init(c, NULL); }
static inline void pqk_cond_wait(pqk_cond *c, pqk_mutex *m) { (void)pthread_cond_wait(c, m); }
static inline void pqk_cond_signal(pqk_cond *c) { (void)pthread_cond_signal(c); }
static inline void pqk_cond_broadcast(pqk_cond *c) { (void)pthread_cond_broadcast(c); }

#define PQK_MUTEX_INITIALIZER PTHREAD_MUTEX_INITIALIZER
#define PQK_COND_INITIALIZER  PTHREAD_COND_INITIALIZER

static inline void pqk_thread_yield(void) { (void)sched_yield(); }

static inline uint64_t pqk_clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *pqk_thread_entry(void *fn)
{
#if defined(__linux__)
    (void)pthread_setname_np(pthread_self(), "pyquantk");
#elif defined(__APPLE__)
    (void)pthread_setname_np("pyquantk");
#endif
    (*(pqk_thread_fn **)fn)();
    return NULL;
}

/* Starts a thread that nobody joins.  *fn lives as long as the process. */
static inline bool pqk_thread_start(pqk_thread_fn **fn)
{
    /* The new thread inherits the mask.  The signals of a crash stay open: blocked, they would
     * kill without the handler (faulthandler, a sanitizer) that says where. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGFPE);
    (void)sigdelset(&all, SIGILL);
    (void)sigdelset(&all, SIGTRAP);
    (void)sigdelset(&all, SIGABRT);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);

    pthread_attr_t attr;
    pthread_t thread;
    int error = pthread_attr_init(&attr);
    if (!error) {
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, PQK_STACK_SIZE);
        error = pthread_create(&thread, &attr, pqk_thread_entry, (void *)fn);
        (void)pthread_attr_destroy(&attr);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !error;
}
#endif

/* Where a thread runs, and where the calling thread may not: only Linux tells and takes this, of up to 1,024 CPUs. */
enum { PQK_ANY_CPU = -1 };
#if defined(__linux__)
typedef struct pqk_cpus {
    cpu_set_t allowed, chosen; /* by others; by us, when `avoided` is not PQK_ANY_CPU */
    int avoided;
} pqk_cpus;

static inline int pqk_this_cpu(void) { return sched_getcpu(); } /* -1 where it is not known */

static inline void pqk_cpus_init(pqk_cpus *c) { c->avoided = PQK_ANY_CPU; }

/* Keeps the calling thread off one CPU, unless that is its only one.  A mask that somebody else has set since is what
 * it starts from. */
static inline void pqk_avoid_cpu(pqk_cpus *c, int cpu)
{
    cpu_set_t now;
    if (cpu == c->avoided || cpu < 0 || cpu >= CPU_SETSIZE) return;
    if (sched_getaffinity(0, sizeof now, &now)) return;
    if (c->avoided == PQK_ANY_CPU || !CPU_EQUAL(&now, &c->chosen)) c->allowed = now;
    c->avoided = cpu;
    c->chosen = c->allowed;
    CPU_CLR((size_t)cpu, &c->chosen);
    if (!CPU_COUNT(&c->chosen)) c->chosen = c->allowed;
    if (!CPU_EQUAL(&now, &c->chosen)) (void)sched_setaffinity(0, sizeof c->chosen, &c->chosen);
}
#else
typedef struct pqk_cpus {
    int avoided;
} pqk_cpus;
static inline int pqk_this_cpu(void) { return PQK_ANY_CPU; }
static inline void pqk_cpus_init(pqk_cpus *c) { c->avoided = PQK_ANY_CPU; }
static inline void pqk_avoid_cpu(pqk_cpus *c, int cpu)
{
    (void)c;
    (void)cpu;
}
#endif

/* Tells the core that this is a wait: leaves the other hyper-thread its resources. */
static PQK_INLINE void pqk_cpu_relax(void)
{
#if defined(PQK_X86)
    _mm_pause();
#elif defined(PQK_ARM64) && defined(_MSC_VER) && !defined(__clang__)
    __isb(_ARM64_BARRIER_SY);
#elif defined(PQK_ARM64)
    __asm__ volatile("isb"); /* YIELD is a no-op on most cores; ISB waits some tens of cycles */
#endif
}

#endif
