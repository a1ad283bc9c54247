/* test_thread_count.c -- how many threads: settings, environment variables, cgroups.
 *
 *     python tests/c/build.py -o build/test_thread_count tests/c/test_thread_count.c
 *     build/test_thread_count
 *
 * For POSIX systems.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "core/pool.h"
#include "core/thread_count.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

static void check(int ok, const char *what)
{
    if (ok) return;
    printf("FAILED: %s\n", what);
    ++failures;
}

static void *limit_elsewhere(void *unused)
{
    (void)unused;
    check(pqk_set_thread_limit(9) == 0, "a thread starts without a limit");
    check(pqk_get_num_threads() == 9, "the limit holds in its thread");
    return NULL;
}

static void test_settings(void)
{
    static const int bad[] = {0, -1, -2147483647, 1025, 2147483647};
    check(pqk_set_num_threads(3) == 0 && pqk_get_num_threads() == 3, "set_num_threads");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        check(pqk_set_num_threads(bad[i]) != 0 && pqk_get_num_threads() == 3, "bad n is refused");
    check(pqk_set_num_threads(1024) == 0 && pqk_set_num_threads(3) == 0, "1024 is the most");

    check(pqk_set_thread_limit(2) == 0 && pqk_get_num_threads() == 2, "the limit wins");
    check(pqk_set_thread_limit(-1) == -1 && pqk_set_thread_limit(1025) == -1, "bad limits");
    pthread_t other;
    pthread_create(&other, NULL, limit_elsewhere, NULL);
    pthread_join(other, NULL);
    check(pqk_get_num_threads() == 2, "a limit is its thread's own");
    check(pqk_set_thread_limit(0) == 2 && pqk_get_num_threads() == 3, "and can be removed");
}

static void test_parsing(void)
{
    static const struct {
        const char *text;
        int alone, list;
    } cases[] = {
        {NULL,                       0,    0   },
        {"",                         0,    0   },
        {"4",                        4,    4   },
        {" 4 ",                      4,    4   },
        {"4,2,1",                    0,    4   },
        {"4 ,2",                     0,    4   },
        {"0",                        0,    0   },
        {"-2",                       0,    0   },
        {"four",                     0,    0   },
        {"4x",                       0,    0   },
        {"2.5",                      0,    0   },
        {",4",                       0,    0   },
        {"1024",                     1024, 1024},
        {"99999",                    1024, 1024},
        {"999999999999999999999999", 1024, 1024},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        check(pqk_parse_thread_count(cases[i].text, 0) == cases[i].alone, "parse a number");
        check(pqk_parse_thread_count(cases[i].text, 1) == cases[i].list, "parse a list");
    }
    setenv("OMP_NUM_THREADS", "6,3", 1);
    setenv("PYQUANTK_NUM_THREADS", "5", 1);
    check(pqk_default_num_threads() == 5, "PYQUANTK_NUM_THREADS comes first");
    setenv("PYQUANTK_NUM_THREADS", "many", 1);
    check(pqk_default_num_threads() == 6, "a bad one is ignored, OMP_NUM_THREADS is next");
    unsetenv("OMP_NUM_THREADS");
    const int usual = pqk_default_num_threads();
    check(usual >= 1 && usual <= sysconf(_SC_NPROCESSORS_CONF), "the default is a number of CPUs");
}

static void put(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (text == NULL) {
        check(mkdir(path, 0700) == 0, "mkdir");
        return;
    }
    FILE *f = fopen(path, "w");
    check(f != NULL, "create a file");
    if (f == NULL) return;
    fputs(text, f);
    fclose(f);
}

static void test_cgroups(void)
{
#if defined(__linux__)
    char root[] = "/tmp/pqk_cgroup_XXXXXX", member[64], command[64];
    if (mkdtemp(root) == NULL) {
        check(0, "mkdtemp");
        return;
    }
    put(root, "a", NULL);
    put(root, "a/b", NULL);
    put(root, "a/cpu.max", "350000 100000\n"); /* the limit may be an ancestor's */
    put(root, "a/b/cpu.max", "max 100000\n");
    put(root, "cpu,cpuacct", NULL);
    put(root, "cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
    put(root, "cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put(root, "cpu,cpuacct/free", NULL);
    put(root, "cpu,cpuacct/free/cpu.cfs_quota_us", "-1\n");
    put(root, "cpu,cpuacct/free/cpu.cfs_period_us", "100000\n");
    static const struct {
        const char *membership;
        int cpus;
    } cases[] = {
        {"0::/a/b\n",                               4},
        {"0::/a\n",                                 4},
        {"0::/\n",                                  0},
        {"0::/a/gone/away\n",                       4},
        {"3:cpuset:/\n2:cpu,cpuacct:/free\n0::/\n", 2},
        {"2:cpu,cpuacct:/seen/from/the/host\n",     2},
        {"2:cpuset,cpuacct:/\n",                    0},
        {"nonsense\n\n:\n",                         0},
        {"0::/a/b\n2:cpu,cpuacct:/\n",              2},
    };
    snprintf(member, sizeof member, "%s/membership", root);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        put(root, "membership", cases[i].membership);
        check(pqk_cgroup_cpus(member, root) == cases[i].cpus, cases[i].membership);
    }
    check(pqk_cgroup_cpus("/nonexistent", root) == 0, "no cgroups at all");
    snprintf(command, sizeof command, "rm -r %s", root);
    check(system(command) == 0, "clean up");
#endif
}

int main(void)
{
    test_settings();
    test_parsing();
    test_cgroups();
    if (!failures) printf("thread count: ok\n");
    return failures != 0;
}
