/* pool.c -- see pool.h.
 *
 * One run at a time owns the pool; the `busy` flag is its try-lock.  A run and its workers meet at
 * the gate, one word:
 *
 *     bit 31            bits 16..30       bits 0..15
 *     owner sleeps      workers inside    free seats
 *
 * The owner writes the job, then opens the gate by storing seats.  A worker enters by exchanging a
 * seat for a place inside, and only then reads the job.  Whoever finds the counter exhausted sets
 * the seats to 0, so that nobody enters a finished run, and the owner waits only for those inside:
 * a worker that the system has not scheduled yet is not waited for.  When the gate is 0 nobody
 * looks at the job any more and the next one may be written.
 *
 * Neither side loses a wake-up.  A worker counts itself in `sleepers` before its last look at the
 * gate; the owner opens the gate before it looks at `sleepers`.  All operations have one total
 * order (atomics.h), so at least one of the two sees the other.
 */
#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* pthread_setname_np, clock_gettime under -std=c11 */
#endif
#include "core/pool.h"
#include "core/atomics.h"
#include "core/fpenv.h"
#include "core/macros.h"
#include "core/thread_count.h"
#include "core/thread_os.h"

enum {
    SEATS = 0x0000ffff,
    INSIDE = 0x7fff0000,
    ONE = 0x00010000,    /* worker inside */
    SPIN_NS = 20 * 1000, /* a sleeping thread needs about 50 us to be back */
    SPIN_LAP = 32,       /* pauses between two looks at the clock */
};
#define OWNER_SLEEPS UINT32_C(0x80000000)

static struct {
    /* Apart from each other: each is written by all threads while the others are only read. */
    PQK_ALIGNED(64) pqk_atomic_size next; /* the first index that nobody has taken */
    PQK_ALIGNED(64) pqk_atomic_u32 gate;

    /* The job: written by the owner while the gate is 0. */
    PQK_ALIGNED(64) size_t count;
    pqk_task_fn *fn;
    void *context;

    PQK_ALIGNED(64) pqk_atomic_u32 busy; /* 1: somebody owns the pool */
    pqk_atomic_u32 sleepers;
    pqk_atomic_u32 owner_cpu; /* where the last run was started, as pqk_this_cpu has it */
    pqk_atomic_u32 refused;   /* 1: the system gave no more threads, do not ask at every run */
    uint32_t workers;         /* alive; the owner's */

    pqk_mutex mutex;
    pqk_cond work, done;
} pool = {
    .mutex = PQK_MUTEX_INITIALIZER,
    .work = PQK_COND_INITIALIZER,
    .done = PQK_COND_INITIALIZER,
};

static bool enter_gate(void)
{
    uint32_t gate = pqk_load_u32(&pool.gate);
    while (gate & SEATS)
        if (pqk_compare_exchange_u32(&pool.gate, &gate, gate + ONE - 1)) return true;
    return false;
}

static bool nobody_inside(void) { return (pqk_load_u32(&pool.gate) & INSIDE) == 0; }

/* Looks for about SPIN_NS; tells whether it happened.  Yields between laps: when the other cores
 * are busy the system puts a woken worker on its owner's core, and there it would spin while the
 * owner waits for the core (measured: 25 us a run instead of 6). */
static bool spin_until(bool (*happened)(void))
{
    const uint64_t start = pqk_clock_ns();
    do {
        for (int i = 0; i < SPIN_LAP; ++i) {
            if (happened()) return true;
            pqk_cpu_relax();
        }
        pqk_thread_yield();
    } while (pqk_clock_ns() - start < SPIN_NS);
    return false;
}

static void do_tasks(void)
{
    const pqk_fpenv found = pqk_fpenv_enter();
    const size_t count = pool.count;
    for (size_t i; (i = pqk_fetch_add_size(&pool.next, 1)) < count;) pool.fn(pool.context, i);
    (void)pqk_fetch_and_u32(&pool.gate, ~(uint32_t)SEATS);
    pqk_fpenv_leave(found);
}

static void leave_gate(void)
{
    if (pqk_fetch_add_u32(&pool.gate, 0u - ONE) != (OWNER_SLEEPS | ONE)) return;
    /* The owner set its bit under the mutex, so once we have it the owner is in the wait. */
    pqk_mutex_lock(&pool.mutex);
    pqk_mutex_unlock(&pool.mutex);
    pqk_cond_signal(&pool.done);
}

/* Before it sleeps a worker leaves the CPU of the thread that will wake it to that thread.  Otherwise the system often
 * puts it there, behind its owner, as if no other CPU were idle: a virtual one that has slept for some milliseconds
 * does not look so (measured: 130 of 200 wake-ups, and two threads as slow as one). */
static void worker(void)
{
    pqk_cpus cpus;
    pqk_cpus_init(&cpus);
    for (;;) {
        while (!spin_until(enter_gate)) {
            pqk_avoid_cpu(&cpus, (int)pqk_load_u32(&pool.owner_cpu));
            pqk_mutex_lock(&pool.mutex);
            (void)pqk_fetch_add_u32(&pool.sleepers, 1);
            if (!(pqk_load_u32(&pool.gate) & SEATS)) pqk_cond_wait(&pool.work, &pool.mutex);
            (void)pqk_fetch_add_u32(&pool.sleepers, 0u - 1);
            pqk_mutex_unlock(&pool.mutex);
        }
        do_tasks();
        leave_gate();
    }
}

static void start_workers(uint32_t wanted)
{
    static pqk_thread_fn *main_of_worker = worker;
    while (pool.workers < wanted && !pqk_load_u32(&pool.refused)) {
        if (pqk_thread_start(&main_of_worker))
            ++pool.workers;
        else
            pqk_store_u32(&pool.refused, 1);
    }
}

/* Wakes as many sleepers as the run has seats for, less those that are awake and looking. */
static void wake_workers(uint32_t seats)
{
    if (pqk_load_u32(&pool.sleepers) == 0) return;
    pqk_mutex_lock(&pool.mutex);
    const uint32_t sleepers = pqk_load_u32(&pool.sleepers);
    pqk_mutex_unlock(&pool.mutex); /* before the signal, or the woken would wait for us */
    const uint32_t awake = pool.workers - sleepers;
    if (awake >= seats) return;
    const uint32_t wanted = seats - awake;
    if (wanted >= sleepers)
        pqk_cond_broadcast(&pool.work);
    else
        for (uint32_t i = 0; i < wanted; ++i) pqk_cond_signal(&pool.work);
}

static void wait_for_workers(void)
{
    if (nobody_inside() || spin_until(nobody_inside)) return;
    pqk_mutex_lock(&pool.mutex);
    (void)pqk_fetch_or_u32(&pool.gate, OWNER_SLEEPS);
    while (!nobody_inside()) pqk_cond_wait(&pool.done, &pool.mutex);
    (void)pqk_fetch_and_u32(&pool.gate, ~OWNER_SLEEPS);
    pqk_mutex_unlock(&pool.mutex);
}

static void run_serially(size_t count, pqk_task_fn *fn, void *context)
{
    const pqk_fpenv found = pqk_fpenv_enter();
    for (size_t i = 0; i < count; ++i) fn(context, i);
    pqk_fpenv_leave(found);
}

void pqk_pool_run(size_t count, pqk_task_fn *fn, void *context, int max_threads)
{
    if (max_threads <= 0) max_threads = pqk_get_num_threads();
    if (max_threads > PQK_MAX_THREADS) max_threads = PQK_MAX_THREADS;
    const size_t threads = count < (size_t)max_threads ? count : (size_t)max_threads;
    if (threads <= 1 || pqk_exchange_u32(&pool.busy, 1)) {
        run_serially(count, fn, context);
        return;
    }

    start_workers((uint32_t)threads - 1);
    const uint32_t seats = pool.workers < threads ? pool.workers : (uint32_t)threads - 1;
    pool.count = count;
    pool.fn = fn;
    pool.context = context;
    pqk_store_u32(&pool.owner_cpu, (uint32_t)pqk_this_cpu());
    pqk_store_size(&pool.next, 0);
    pqk_store_u32(&pool.gate, seats);
    wake_workers(seats);
    do_tasks();
    wait_for_workers();
    pqk_store_u32(&pool.busy, 0);
}

#if !defined(_WIN32)
/* Only the forking thread lives on in the child, and whatever the others held is held for ever.
 * So the child starts from an empty pool; nothing here belongs to its one thread, unless it forked
 * inside a task, and then its run ends with the tasks that no worker had taken. */
static void start_afresh_in_child(void)
{
    pqk_store_u32(&pool.gate, 0);
    pqk_store_u32(&pool.sleepers, 0);
    pqk_store_u32(&pool.refused, 0);
    pool.workers = 0;
    pqk_mutex_init(&pool.mutex);
    pqk_cond_init(&pool.work);
    pqk_cond_init(&pool.done);
    pqk_store_u32(&pool.busy, 0);
}

/* At load time, not at the first run: another thread may fork in the middle of that. */
__attribute__((constructor)) static void watch_forks(void) { (void)pthread_atfork(NULL, NULL, start_afresh_in_child); }
#endif

static pqk_atomic_u32 process_threads; /* 0: not asked yet */
static PQK_THREAD_LOCAL int thread_limit;

int pqk_get_num_threads(void)
{
    if (thread_limit) return thread_limit;
    uint32_t n = pqk_load_u32(&process_threads);
    if (n == 0) {
        const uint32_t usual = (uint32_t)pqk_default_num_threads();
        /* A number that was set meanwhile wins, and is what n becomes. */
        if (pqk_compare_exchange_u32(&process_threads, &n, usual)) n = usual;
    }
    return (int)n;
}

int pqk_set_num_threads(int n)
{
    if (n < 1 || n > PQK_MAX_THREADS) return -1;
    pqk_store_u32(&process_threads, (uint32_t)n);
    pqk_store_u32(&pool.refused, 0); /* a fresh wish deserves a fresh try */
    return 0;
}

int pqk_set_thread_limit(int n)
{
    if (n < 0 || n > PQK_MAX_THREADS) return -1;
    const int before = thread_limit;
    thread_limit = n;
    return before;
}
