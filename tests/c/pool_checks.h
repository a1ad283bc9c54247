/* pool_checks.h -- what the two test programs of the pool share.  Static: one inclusion a program. */
#include "core/atomics.h"
#include "core/pool.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(__has_feature) /* Clang */
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static pqk_atomic_u32 failures; /* checks run on every thread */

static void check(int ok, const char *what)
{
    if (ok) return;
    if (pqk_fetch_add_u32(&failures, 1) < 20) printf("FAILED: %s\n", what);
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits until *counter >= n; false after ten seconds. */
static int wait_for(pqk_atomic_u32 *counter, uint32_t n)
{
    for (int ms = 0; ms < 10000; ++ms) {
        if (pqk_load_u32(counter) >= n) return 1;
        sleep_ms(1);
    }
    return 0;
}

enum { MOST = 1000 };

/* Plain bytes: if an index ran twice at a time, ThreadSanitizer would see the race; and the caller
 * reads them after the run, so it would also see a missing happens-before. */
static void count_hit(void *hits, size_t i) { ++((unsigned char *)hits)[i]; }

static int run_and_verify(size_t count, int threads)
{
    unsigned char hits[MOST + 1] = {0};
    pqk_pool_run(count, count_hit, hits, threads);
    for (size_t i = 0; i < count; ++i)
        if (hits[i] != 1) return 0;
    return hits[count] == 0;
}

struct meeting {
    pqk_atomic_u32 arrived;
    uint32_t expected;
};

/* Returns only when `expected` tasks are under way at once, which takes as many threads. */
static void meet(void *context, size_t i)
{
    struct meeting *m = context;
    (void)i;
    pqk_fetch_add_u32(&m->arrived, 1);
    check(wait_for(&m->arrived, m->expected), "as many threads as asked for work at once");
}

static _Thread_local int is_caller; /* set by a test around its runs */

struct test {
    const char *name;
    void (*run)(void);
};

static int run_tests(const struct test *tests, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        const uint32_t before = pqk_load_u32(&failures);
        const double start = seconds(CLOCK_MONOTONIC);
        tests[i].run();
        printf("%-22s %s  %.1f s\n", tests[i].name, pqk_load_u32(&failures) == before ? "ok" : "FAILED",
               seconds(CLOCK_MONOTONIC) - start);
        fflush(stdout); /* or a forked child would print it again */
    }
    return pqk_load_u32(&failures) != 0;
}
