/* thread_count.c -- see thread_count.h. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#if defined(_MSC_VER) && !defined(_CRT_SECURE_NO_WARNINGS)
#define _CRT_SECURE_NO_WARNINGS /* getenv: read once, and only parsed */
#endif
#include "core/thread_count.h"
#include "core/pool.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

static int clamp_count(long n)
{
    if (n < 1) return 1;
    return n < PQK_MAX_THREADS ? (int)n : PQK_MAX_THREADS;
}

int pqk_parse_thread_count(const char *text, int list)
{
    if (text == NULL) return 0;
    char *end;
    const long n = strtol(text, &end, 10); /* saturates: 10^30 is as many as possible */
    if (end == text || n < 1) return 0;
    while (*end >= '0' && *end <= '9') ++end; /* musl stops where a long overflows */
    while (*end == ' ' || *end == '\t') ++end;
    if (*end != '\0' && !(list && *end == ',')) return 0;
    return clamp_count(n);
}

#if defined(_WIN32)
static int affinity_cpus(void)
{
    DWORD_PTR ours = 0, machine = 0;
    long n = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &machine))
        for (; ours; ours &= ours - 1) ++n;
    if (n == 0) { /* the process spans processor groups: the mask is 0 */
        n = (long)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    }
    return clamp_count(n);
}
#elif defined(__linux__)
static int affinity_cpus(void)
{
    /* The kernel refuses a mask shorter than its own, so grow until it fits. */
    for (int bits = 1024; bits <= 1 << 20; bits *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)bits);
        if (set == NULL) break;
        const size_t size = CPU_ALLOC_SIZE((size_t)bits);
        const int n = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (n > 0) return clamp_count(n);
    }
    return clamp_count(sysconf(_SC_NPROCESSORS_ONLN));
}
#else
static int affinity_cpus(void) { return clamp_count(sysconf(_SC_NPROCESSORS_ONLN)); }
#endif

#if defined(__linux__)
enum { PATH_SIZE = 4096 };

/* The first line of directory/file, without its end; 0 if there is none or it is too long. */
static int read_line(const char *directory, const char *file, char *line, int size)
{
    char path[PATH_SIZE];
    const int n = snprintf(path, sizeof path, "%s/%s", directory, file);
    if (n < 0 || n >= (int)sizeof path) return 0;
    FILE *f = fopen(path, "re");
    if (f == NULL) return 0;
    const int ok = fgets(line, size, f) != NULL;
    fclose(f);
    return ok;
}

/* ceil(quota / period) of one cgroup directory, INT_MAX if it sets none. */
static int directory_cpus(const char *directory)
{
    char line[64], period_line[64];
    char *end = line;
    long quota = 0, period = 0;
    if (read_line(directory, "cpu.max", line, sizeof line)) { /* "150000 100000", "max 100000" */
        quota = strtol(line, &end, 10);
        period = strtol(end, NULL, 10);
    } else if (read_line(directory, "cpu.cfs_quota_us", line, sizeof line) &&
               read_line(directory, "cpu.cfs_period_us", period_line, sizeof period_line)) {
        quota = strtol(line, NULL, 10); /* -1: none */
        period = strtol(period_line, NULL, 10);
    }
    if (quota <= 0 || period <= 0) return INT_MAX;
    const long cpus = quota / period + (quota % period != 0);
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* The smallest on the way from directory up to its first root_length characters.  A container may
 * see its own cgroup as the root while its membership names the host's path: directories that do
 * not exist set nothing. */
static int smallest_upwards(char *directory, size_t root_length)
{
    int smallest = INT_MAX;
    for (;;) {
        const int cpus = directory_cpus(directory);
        if (cpus < smallest) smallest = cpus;
        char *slash = strrchr(directory, '/');
        if (slash == NULL || (size_t)(slash - directory) < root_length) return smallest;
        *slash = '\0';
    }
}

/* Whether the comma list names the controller "cpu" ("cpu,cpuacct", not "cpuset"). */
static int names_cpu(const char *list)
{
    while (*list) {
        const size_t length = strcspn(list, ",");
        if (length == 3 && memcmp(list, "cpu", 3) == 0) return 1;
        list += length + (list[length] == ',');
    }
    return 0;
}

int pqk_cgroup_cpus(const char *membership, const char *mount)
{
    FILE *f = fopen(membership, "re");
    if (f == NULL) return 0;
    int smallest = INT_MAX;
    char line[PATH_SIZE];
    while (fgets(line, sizeof line, f)) { /* "0::/path" (version 2), "4:cpu,cpuacct:/path" (1) */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL) continue;
        *path++ = '\0';
        ++controllers;
        const int version_2 = *controllers == '\0';
        if (!version_2 && !names_cpu(controllers)) continue;

        char directory[2 * PATH_SIZE];
        const int root = snprintf(directory, sizeof directory, "%s%s%s", mount, version_2 ? "" : "/", controllers);
        if (root < 0 || (size_t)root + strlen(path) >= sizeof directory) continue;
        strcpy(directory + root, strcmp(path, "/") ? path : "");
        const int cpus = smallest_upwards(directory, (size_t)root);
        if (cpus < smallest) smallest = cpus;
    }
    fclose(f);
    return smallest == INT_MAX ? 0 : clamp_count(smallest);
}
#else
int pqk_cgroup_cpus(const char *membership, const char *mount)
{
    (void)membership;
    (void)mount;
    return 0;
}
#endif

int pqk_default_num_threads(void)
{
    int n = pqk_parse_thread_count(getenv("PYQUANTK_NUM_THREADS"), 0);
    if (n) return n;
    n = pqk_parse_thread_count(getenv("OMP_NUM_THREADS"), 1);
    if (n) return n;
    n = affinity_cpus();
    const int quota = pqk_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota && quota < n ? quota : n;
}
