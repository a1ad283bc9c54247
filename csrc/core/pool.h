/* pool.h -- the thread pool: run independent tasks on several cores.
 *
 * Tasks are handed out one by one from an atomic counter, so a core that is slow, or busy with
 * something else, delays the one task it holds and nothing more.  Which thread runs which task
 * is unspecified; results must not depend on it.
 *
 *   created     at the first parallel run, with as many workers as that run can use
 *   busy        a run that finds the pool taken (another thread's run, or the run it is itself a
 *               task of) is done serially by its caller: never a queue, never a deadlock
 *   idle        workers look out for work for about 20 us, then sleep and cost nothing
 *   placement   on Linux a worker that slept may run on every CPU it might before, but the one where the last run was
 *               started; a mask that somebody else gives it stays
 *   fork        the child starts with an empty pool of its own; the parent notices nothing.
 *               A task must not fork and go on: the workers that hold its siblings are not there.
 *   no threads  if the system gives none, fewer work, down to the caller alone; never an error
 *   float       every task runs inside the guard of fpenv.h, the caller's share too
 *   signals     workers take none; they are for the application's own threads
 */
#ifndef PQK_POOL_H
#define PQK_POOL_H
#include <stddef.h>
#include "core/macros.h"

enum { PQK_MAX_THREADS = 1024 };

typedef void pqk_task_fn(void *context, size_t index);

/* fn(context, i) once for every i in [0, count), on at most max_threads threads, the caller
 * among them; max_threads <= 0 means pqk_get_num_threads().  Returns when all are done, and all
 * that they wrote is visible to the caller. */
void pqk_pool_run(size_t count, pqk_task_fn *fn, void *context, int max_threads);

/* The three below are also in pyquantk.h. */

/* How many threads a call from this thread may use: this thread's limit, or else the number set
 * for the process, or else the default of thread_count.h. */
PQK_EXPORT int pqk_get_num_threads(void);

/* Sets the number for the process, 1 <= n <= PQK_MAX_THREADS.  Nonzero, and nothing changed, for
 * any other n. */
PQK_EXPORT int pqk_set_num_threads(int n);

/* Sets the limit of the calling thread, 1 <= n <= PQK_MAX_THREADS, or 0 to remove it.  Returns the
 * limit before, 0 if there was none; -1, and nothing changed, for any other n. */
PQK_EXPORT int pqk_set_thread_limit(int n);

#endif
