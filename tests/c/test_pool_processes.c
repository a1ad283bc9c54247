/* test_pool_processes.c -- the thread pool under fork, exit, and a system without threads to give.
 *
 *     python tests/c/build.py -o build/test_pool_processes tests/c/test_pool_processes.c
 *     build/test_pool_processes
 *
 * For POSIX systems; not for qemu-user 7.2, which aborts when the child of a threaded process starts
 * a thread.  Under ThreadSanitizer set TSAN_OPTIONS=die_after_fork=0: by default it forbids
 * a forked child to start threads, which is what these tests are about.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "pool_checks.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static pqk_atomic_u32 stop;

static void *keep_busy(void *unused)
{
    (void)unused;
    while (!pqk_load_u32(&stop)) check(run_and_verify(30, 3), "runs beside forks are complete");
    return NULL;
}

static int ended_well(pid_t child)
{
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void fork_and_run(int times)
{
    for (int i = 0; i < times; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20); /* a hang becomes a failure */
            int ok = run_and_verify(100, 3) && run_and_verify(100, 2);
            struct meeting m = {.expected = 2};
            if (i % 50 == 0) pqk_pool_run(2, meet, &m, 2); /* the child has workers of its own */
            _exit(ok && pqk_load_u32(&failures) == 0 ? 0 : 1);
        }
        check(ended_well(child), "a forked child runs the pool and ends");
        check(run_and_verify(64, 2), "the parent goes on after fork");
    }
}

static void fork_in_task(void *context, size_t i)
{
    (void)i;
    pid_t *child = context;
    if (is_caller && *child == -1) *child = fork();
}

static void test_fork(void)
{
    fork_and_run(SANITIZED ? 100 : 1000);

    pthread_t busy;
    pthread_create(&busy, NULL, keep_busy, NULL);
    fork_and_run(SANITIZED ? 100 : 1000);
    pqk_store_u32(&stop, 1);
    pthread_join(busy, NULL);

    is_caller = 1;
    for (int i = 0; i < 20; ++i) {
        pid_t child = -1;
        pqk_pool_run(50, fork_in_task, &child, 3);
        if (child == 0) _exit(run_and_verify(100, 3) ? 0 : 1);
        check(child == -1 || ended_well(child), "a child forked inside a task leaves the run");
    }
    is_caller = 0;
}

static void test_exit_with_live_pool(void)
{
    for (int i = 0; i < (SANITIZED ? 10 : 100); ++i) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            pthread_t busy;
            pqk_store_u32(&stop, 0);
            if (i % 2) pthread_create(&busy, NULL, keep_busy, NULL);
            check(run_and_verify(200, 4), "run before exit");
            exit(pqk_load_u32(&failures) ? 1 : 0); /* workers spin or sleep, or are in a task */
        }
        check(ended_well(child), "a process with a live pool exits");
    }
}

/* No memory for stacks: fewer threads, the same work. */
static void test_no_threads_to_be_had(void)
{
    enum { NOT_REFUSED = 2 };
    if (SANITIZED) return; /* their shadow memory does not fit under the limit */
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        const struct rlimit none = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_AS, &none);
        pthread_t t;
        const int refused = pthread_create(&t, NULL, keep_busy, NULL) != 0;
        const int ok = run_and_verify(1000, 64) && run_and_verify(1000, 64);
        _exit(!refused ? NOT_REFUSED : !ok);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_REFUSED)
        printf("(this system ignores RLIMIT_AS, as qemu-user does: not tested)\n");
    else
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a run without new threads is complete");
}

int main(void)
{
    static const struct test tests[] = {
        {"no threads",          test_no_threads_to_be_had}, /* first: no stacks are cached yet */
        {"fork",                test_fork                },
        {"exit with live pool", test_exit_with_live_pool },
    };
    alarm(300); /* a hang becomes a failure */
    return run_tests(tests, sizeof tests / sizeof *tests);
}
