/* test_gemm_memory.c -- the matrix product when memory is short, and after a million calls.
 *
 *     python tests/c/build.py -D PQK_TESTING -o build/test_gemm_memory tests/c/test_gemm_memory.c
 *     build/test_gemm_memory [CALLS]
 *
 * With PQK_TESTING each allocation of pack, matmul and linear fails in turn: PQK_ERROR_MEMORY and the output as it was,
 * or a right result.  Resident memory is read from /proc; where there is none, growth is not measured.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/macros.h"
#include "core/memory.h"
#include "include/pyquantk.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || PQK_HAS_FEATURE(address_sanitizer) || \
    PQK_HAS_FEATURE(thread_sanitizer) || PQK_HAS_FEATURE(memory_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static int failures;
static unsigned refused; /* calls that ended for want of memory */

static void check(int ok, const char *what, const char *name, unsigned n)
{
    if (ok) return;
    printf("FAILED: %s: %s (allocation %u)\n", name, what, n);
    ++failures;
}

/* Large enough for threads, and for scratch beyond what a thread keeps. */
enum { BATCH = 3, M = 150, K = 700, N = 300, UNTOUCHED = 0x5a };
static int8_t a[BATCH * M * K], b[K * N];
static float x[M * K], scale[N];
static unsigned char out[BATCH * M * N * 4], expected[sizeof out];

static const int64_t a_shape[] = {M, K}, b_shape[] = {K, N}, c_shape[] = {M, N};
static const int64_t a_batch[] = {BATCH, M, K}, b_batch[] = {BATCH, K, N}, c_batch[] = {BATCH, M, N};
static const int64_t same_b[] = {0, N, 1}, odd_a[] = {1, M};
static const pqk_array right = {b, PQK_S8, 2, b_shape, NULL};
static const pqk_epilogue to_float =
                              {
                                  .b_scale = {scale, 1}
},
                          grouped = {.b_scale = {scale, 1}, .group_size = K};

static pqk_status matmul(void)
{
    const pqk_array left = {a, PQK_S8, 2, a_shape, NULL}, c = {out, PQK_S32, 2, c_shape, NULL};
    return pqk_matmul(&left, &right, NULL, NULL, &c, NULL);
}
static pqk_status matmul_of_columns(void)
{
    const pqk_array left = {a, PQK_U8, 2, a_shape, odd_a}, c = {out, PQK_F32, 2, c_shape, NULL};
    return pqk_matmul(&left, &right, NULL, &to_float, &c, NULL);
}
static pqk_status matmul_batch(void)
{
    const pqk_array left = {a, PQK_S8, 3, a_batch, NULL}, c = {out, PQK_F32, 3, c_batch, NULL};
    return pqk_matmul(&left, &(pqk_array){b, PQK_S8, 3, b_batch, same_b}, NULL, &grouped, &c, NULL);
}
static pqk_status pack_and(bool linear)
{
    const pqk_array left = {a, PQK_S8, 2, a_shape, NULL}, floats = {x, PQK_F32, 2, a_shape, NULL};
    const pqk_array c = {out, PQK_F32, 2, c_shape, NULL};
    const pqk_linear_input dynamic = {.mode = PQK_LINEAR_DYNAMIC};
    pqk_packed *packed = NULL;
    pqk_status status = pqk_pack(&right, 0, &packed);
    if (status) return status;
    status = linear ? pqk_linear(&floats, &dynamic, packed, &to_float, &c, NULL)
                    : pqk_matmul(&left, NULL, packed, &to_float, &c, NULL);
    pqk_packed_free(packed);
    return status;
}
static pqk_status matmul_packed(void) { return pack_and(false); }
static pqk_status linear(void) { return pack_and(true); }

static const struct call {
    const char *name;
    pqk_status (*call)(void);
} calls[] = {
    {"matmul",            matmul           },
    {"matmul of columns", matmul_of_columns},
    {"matmul of a batch", matmul_batch     },
    {"matmul of packed",  matmul_packed    },
    {"linear",            linear           },
};

#if defined(PQK_TESTING)
static bool is_untouched(void)
{
    for (size_t i = 0; i < sizeof out; ++i)
        if (out[i] != UNTOUCHED) return false;
    return true;
}

/* For n = 1, 2, ... until an allocation that was to fail has not been asked for. */
static void fail_each(const struct call *c)
{
    for (unsigned n = 1; n <= 1000; ++n) {
        memset(out, UNTOUCHED, sizeof out);
        pqk_test_fail_allocation(n);
        const pqk_status status = c->call();
        bool waiting = false;
        for (unsigned i = 0; i < n && !waiting; ++i) { /* is it still to come? */
            void *memory = pqk_aligned_alloc(1);
            waiting = !memory;
            pqk_aligned_free(memory);
        }
        pqk_test_fail_allocation(0);
        refused += status == PQK_ERROR_MEMORY;
        if (status != PQK_ERROR_MEMORY)
            check(status == PQK_OK && !memcmp(out, expected, sizeof out), "the result", c->name, n);
        else
            check(!waiting && is_untouched(), "an error that leaves the output untouched", c->name, n);
        if (waiting) return;
    }
    check(0, "allocations without end", c->name, 0);
}
#else
static void fail_each(const struct call *c) { (void)c, ++refused; }
#endif

static void test_failing(const struct call *c)
{
    memset(out, UNTOUCHED, sizeof out);
    check(c->call() == PQK_OK, "without failures", c->name, 0);
    memcpy(expected, out, sizeof out);
    fail_each(c);
    fail_each(c); /* and once more with what the threads kept */
}

static long resident(void)
{
    long pages = -1;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return -1;
    if (fscanf(file, "%*s %ld", &pages) != 1) pages = -1;
    fclose(file);
    return pages < 0 ? -1 : pages * 4096;
}

/* Nonzero where the status is not the expected one. */
static int small_call(uint32_t i)
{
    const int64_t m = 1 + i % 7, k = 1 + i % 33, n = 1 + i % 19;
    const int64_t left_shape[] = {m, k}, right_shape[] = {k, n}, shape[] = {m, n}, wrong_shape[] = {m, n + 1};
    const pqk_array left = {a, PQK_U8, 2, left_shape, NULL}, plain = {b, PQK_S8, 2, right_shape, NULL};
    const pqk_array floats = {x, PQK_F32, 2, left_shape, NULL}, c = {out, PQK_F32, 2, shape, NULL};
    const pqk_array wrong = {out, PQK_F32, 2, wrong_shape, NULL};
    const pqk_linear_input dynamic = {.mode = PQK_LINEAR_DYNAMIC};
    if (i % 4 == 0) return pqk_matmul(&left, &plain, NULL, &to_float, &c, NULL);
    if (i % 4 == 1) return pqk_matmul(&left, &plain, NULL, &to_float, &wrong, NULL) != PQK_ERROR_SHAPE;
    pqk_packed *packed = NULL;
    if (pqk_pack(&plain, i % 3 * 8, &packed)) return 1;
    const int status = i % 4 == 2 ? pqk_matmul(&left, NULL, packed, &to_float, &c, NULL)
                                  : pqk_linear(&floats, &dynamic, packed, &to_float, &c, NULL);
    pqk_packed_free(packed);
    return status;
}

static void test_growth(uint32_t count)
{
    enum { WARM = 20000, MOST = 1 << 20 };
    long before = 0;
    for (uint32_t i = 0; i < WARM + count; ++i) {
        if (i == WARM) before = resident();
        if (i % 8192 ? small_call(i) : (int)matmul_batch()) {
            check(0, "another status than expected", "small calls", i);
            return;
        }
    }
    if (before < 0 || SANITIZED) {
        printf("growth: not measured, %s\n", SANITIZED ? "sanitizers keep books" : "there is no /proc/self/statm");
        return;
    }
    const long grown = resident() - before;
    printf("growth: %ld bytes in %" PRIu32 " calls\n", grown, count);
    check(grown < MOST, "the process grew", "small calls", 0);
}

int main(int argc, char **argv)
{
    const uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : SANITIZED ? 20000 : 1000000;
    for (size_t i = 0; i < sizeof a; ++i) a[i] = (int8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof b; ++i) b[i] = (int8_t)(i * 5 + i / 128);
    for (int i = 0; i < M * K; ++i) x[i] = (float)(i % 977 - 488) * 0.05f;
    for (int j = 0; j < N; ++j) scale[j] = 0.125f + (float)(j % 13);
    for (int threads = 1; threads <= 4; threads += 3) {
        pqk_set_num_threads(threads);
        for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) test_failing(&calls[i]);
    }
    check(refused > 0, "no allocation has failed", "all", 0);
    pqk_set_num_threads(2);
    test_growth(count);
    if (!failures) printf("memory of the matrix product: ok, %u calls refused\n", refused);
    return failures != 0;
}
