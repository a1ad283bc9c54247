/* test_pool.c -- the thread pool: coverage, nesting, callers in parallel, stragglers, float
 * environment.  Processes are in test_pool_processes.c.
 *
 *     python tests/c/build.py -o build/test_pool tests/c/test_pool.c && build/test_pool
 *
 * For POSIX systems.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "pool_checks.h"
#include "core/fpenv.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

static void test_every_index_once(void)
{
    for (size_t count = 0; count <= MOST; count += SANITIZED ? 37 : 1)
        for (int threads = 1; threads <= 64; ++threads)
            check(run_and_verify(count, threads), "every index exactly once");
}

/* ---- no more threads than allowed, and really more than one ---- */

struct census {
    pthread_mutex_t lock;
    pthread_t seen[64];
    int n;
};

static void enrol(void *context, size_t i)
{
    struct census *c = context;
    (void)i;
    pthread_mutex_lock(&c->lock);
    int k = 0;
    while (k < c->n && !pthread_equal(c->seen[k], pthread_self())) ++k;
    if (k == c->n && k < 64) c->seen[c->n++] = pthread_self();
    pthread_mutex_unlock(&c->lock);
    sleep_ms(1); /* time for every worker that is let in to come */
}

static void test_number_of_threads(void)
{
    for (uint32_t n = 1; n <= 16; ++n) {
        struct meeting m = {.expected = n};
        pqk_pool_run(n, meet, &m, (int)n);
    }
    for (int n = 1; n <= 8; ++n) {
        struct meeting m = {.expected = 16};
        pqk_pool_run(16, meet, &m, 16); /* now 15 workers are awake: fewer must be let in */
        struct census c = {.lock = PTHREAD_MUTEX_INITIALIZER};
        pqk_pool_run(48, enrol, &c, n);
        check(c.n == n, "max_threads threads work, no more");
    }
}

/* ---- nested, and callers in parallel ---- */

static void nested_task(void *context, size_t i)
{
    (void)i;
    check(run_and_verify(50, 4), "a nested run is complete");
    pqk_fetch_add_u32(context, 1);
}

static void *caller(void *arg)
{
    const int id = *(int *)arg;
    for (int i = 0; i < (SANITIZED ? 150 : 1000); ++i)
        check(run_and_verify((size_t)((i * 7 + id * 13) % 200), 1 + (i + id) % 5),
              "callers in parallel: every index exactly once");
    return NULL;
}

static void test_nested_and_concurrent(void)
{
    pqk_atomic_u32 done = 0;
    pqk_pool_run(40, nested_task, (void *)&done, 4);
    check(pqk_load_u32(&done) == 40, "every outer task ran");

    pthread_t threads[8];
    int ids[8];
    for (int i = 0; i < 8; ++i) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, caller, &ids[i]);
    }
    for (int i = 0; i < 8; ++i) pthread_join(threads[i], NULL);
}

/* ---- stragglers, on either side ---- */

/* Task 0 ends only after all others: whoever holds it must not hold any other. */
static void straggle(void *context, size_t i)
{
    pqk_atomic_u32 *done = context;
    if (i == 0) check(wait_for(done, 99), "a slow task does not hold up the others");
    pqk_fetch_add_u32(done, 1);
}

/* The caller is through long before the worker, and so goes to sleep. */
static void worker_is_slow(void *context, size_t i)
{
    struct meeting *m = context;
    meet(m, i);
    if (!is_caller) sleep_ms(3);
    pqk_fetch_add_u32(&m->arrived, 1);
}

static void test_stragglers(void)
{
    for (int i = 0; i < 20; ++i) {
        pqk_atomic_u32 done = 0;
        pqk_pool_run(100, straggle, (void *)&done, 2);
        check(pqk_load_u32(&done) == 100, "the run waits for the slow task");
    }
    is_caller = 1;
    for (int i = 0; i < 20; ++i) {
        struct meeting m = {.expected = 4};
        pqk_pool_run(4, worker_is_slow, &m, 4);
        check(pqk_load_u32(&m.arrived) == 8, "a sleeping caller is woken when all are done");
    }
    is_caller = 0;
}

/* ---- float environment, signals, idleness ---- */

#if defined(PQK_X86)
static void spoil_environment(void) { _mm_setcsr(0xffc0 & ~0x2000u); } /* up, FTZ, DAZ, masked */
static uint64_t environment(void) { return _mm_getcsr(); }
static void usual_environment(void) { _mm_setcsr(0x1f80); }
#elif defined(PQK_ARM64)
static void spoil_environment(void) { pqk_set_fpcr(0x01400000); } /* up, FZ */
static uint64_t environment(void) { return pqk_get_fpcr() ^ pqk_get_fpsr() << 32; }
static void usual_environment(void) { pqk_set_fpcr(0); }
#else
#include <fenv.h>
static void spoil_environment(void) { fesetround(FE_UPWARD); }
static uint64_t environment(void) { return (uint64_t)fegetround(); }
static void usual_environment(void) { fesetround(FE_TONEAREST); }
#endif

static int arithmetic_is_ieee(void)
{
    volatile float tiny = 1e-40f, one = 1.0f, small = 0x1p-30f;
    volatile float kept = tiny * one, sum = one + small, less = -one - small;
    return kept > 0.0f && kept == tiny && sum == 1.0f && less == -1.0f;
}

static void float_task(void *context, size_t i)
{
    meet(context, i);
    check(arithmetic_is_ieee(), "a task computes in the usual float environment");
    if (i % 2) spoil_environment(); /* ... whatever the last task of this thread left behind */
}

static void one_float_task(void *context, size_t i)
{
    (void)context;
    (void)i;
    check(arithmetic_is_ieee(), "a serial run computes in the usual float environment");
}

static void test_float_environment(void)
{
    for (int i = 0; i < 10; ++i) {
        spoil_environment();
        const uint64_t before = environment();
        struct meeting m = {.expected = 4};
        pqk_pool_run(4, float_task, &m, 4); /* one task a thread */
        const uint64_t after = environment();
        pqk_pool_run(1, one_float_task, NULL, 4);
        const uint64_t after_serial = environment();
        usual_environment();
        check(after == before && after_serial == before, "the caller's environment is restored");
    }
    /* The sticky flags are the caller's too: clear and set alike, they are found again. */
    volatile float one = 1.0f, three = 3.0f, third;
    for (int flags = 0; flags < 2; ++flags) {
        if (flags) third = one / three;
        const uint64_t before = environment();
        const pqk_fpenv found = pqk_fpenv_enter();
        third = one / three;
        pqk_fpenv_leave(found);
        check(environment() == before, "our arithmetic raises no flag of the caller's");
        (void)third;
    }
}

static void look_at_signals(void *context, size_t i)
{
    meet(context, i);
    if (is_caller) return;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    check(sigismember(&mask, SIGINT) && sigismember(&mask, SIGTERM) && sigismember(&mask, SIGALRM),
          "workers take no signals");
    check(!sigismember(&mask, SIGSEGV), "a crash in a worker is reported");
}

static void test_signals_and_idleness(void)
{
    struct meeting m = {.expected = 4};
    is_caller = 1;
    pqk_pool_run(4, look_at_signals, &m, 4);
    is_caller = 0;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    check(!sigismember(&mask, SIGINT), "the caller's signal mask is as before");

    check(run_and_verify(MOST, 64), "64 threads");
    sleep_ms(20);
    const double before = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sleep_ms(200);
    const double used = seconds(CLOCK_PROCESS_CPUTIME_ID) - before;
    check(SANITIZED || used < 0.002, "63 idle workers use no CPU time");
}

#if defined(__linux__)
/* ---- where workers may run ---- */

struct visit {
    struct meeting meeting;
    cpu_set_t found; /* of the worker */
    const cpu_set_t *set;
};

static void look_at_cpus(void *context, size_t i)
{
    struct visit *v = context;
    meet(&v->meeting, i);
    if (is_caller) return;
    sched_getaffinity(0, sizeof v->found, &v->found);
    if (v->set) sched_setaffinity(0, sizeof *v->set, v->set);
}

/* Of the one worker, after it has slept while its owner was on `cpu`. */
static cpu_set_t cpus_of_worker(int cpu, const cpu_set_t *set)
{
    struct visit v = {.meeting = {.expected = 2}, .set = set};
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    struct meeting before = {.expected = 2};
    pqk_pool_run(2, meet, &before, 2);
    sleep_ms(SANITIZED ? 200 : 50);
    is_caller = 1;
    pqk_pool_run(2, look_at_cpus, &v, 2);
    is_caller = 0;
    return v.found;
}

static void test_owners_cpu_is_left_to_it(void)
{
    cpu_set_t allowed, one;
    int cpu[2], n = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) < 2) return;
    for (int i = 0; n < 2; ++i)
        if (CPU_ISSET((size_t)i, &allowed)) cpu[n++] = i;
    struct meeting m = {.expected = 2}; /* the worker inherits the mask that its owner has now */
    pqk_pool_run(2, meet, &m, 2);
    for (int round = 0; round < 4; ++round) {
        cpu_set_t rest = allowed, found = cpus_of_worker(cpu[round % 2], NULL);
        CPU_CLR((size_t)cpu[round % 2], &rest);
        check(CPU_EQUAL(&found, &rest), "a worker that slept may run on every CPU but its owner's");
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu[0], &one);
    (void)cpus_of_worker(cpu[0], &one);
    for (int round = 1; round < 4; ++round) {
        cpu_set_t found = cpus_of_worker(cpu[round % 2], NULL);
        check(CPU_EQUAL(&found, &one), "a mask that somebody else set is kept");
    }
    (void)cpus_of_worker(cpu[1], &allowed);
    sched_setaffinity(0, sizeof allowed, &allowed);
}
#endif

int main(void)
{
    static const struct test tests[] = {
#if defined(__linux__)
        {"where workers run",  test_owners_cpu_is_left_to_it}, /* first: while there is one worker */
#endif
        {"number of threads",  test_number_of_threads       },
        {"nested, concurrent", test_nested_and_concurrent   },
        {"stragglers",         test_stragglers              },
        {"float environment",  test_float_environment       },
        {"signals, idleness",  test_signals_and_idleness    },
        {"every index once",   test_every_index_once        },
    };
    alarm(300); /* a hang becomes a failure */
    return run_tests(tests, sizeof tests / sizeof *tests);
}
