/* thread_count.h -- how many threads this process should use when nobody has said.
 *
 *     PYQUANTK_NUM_THREADS, a positive integer
 *     else OMP_NUM_THREADS, the first integer of its list
 *     else the CPUs of the affinity mask, but no more than the cgroup's CPU quota rounded up
 *
 * A variable that is empty, not a positive integer, or trailed by anything else is ignored: a
 * typing error must not stop a program, and `pyquantk info` shows the number in use.
 */
#ifndef PQK_THREAD_COUNT_H
#define PQK_THREAD_COUNT_H

/* In [1, PQK_MAX_THREADS].  Reads the environment and files: slow, so pool.c remembers it. */
int pqk_default_num_threads(void);

/* The pieces, for the tests. */

/* The number that text starts with, if it is positive and followed by nothing but blanks or, where
 * list is nonzero, a comma; clamped to PQK_MAX_THREADS.  Else 0.  text may be NULL. */
int pqk_parse_thread_count(const char *text, int list);

/* ceil(CPU quota) of the cgroup that membership (/proc/self/cgroup) names below mount
 * (/sys/fs/cgroup), the smallest on the way up to the root; 0 if none is set.  Versions 1 and 2. */
int pqk_cgroup_cpus(const char *membership, const char *mount);

#endif
