/* test_memory.c -- checked sizes, alignment, and allocations made to fail.
 *
 *     cc -DPQK_TESTING -Icsrc csrc/core/memory.c tests/c/test_memory.c && ./a.out
 */
#include "core/memory.h"
#include <stdio.h>
#include <string.h>

static int failures;

static void check(int ok, const char *what, size_t n)
{
    if (ok) return;
    printf("FAILED: %s (%zu)\n", what, n);
    ++failures;
}

/* Against division and subtraction, which cannot overflow. */
static void test_sizes(void)
{
    const size_t half = (size_t)1 << (sizeof(size_t) * 4); /* half * half is SIZE_MAX + 1 */
    const size_t values[] = {
        0, 1, 2, 3, 255, half - 1, half, half + 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 1, SIZE_MAX};
    enum { N = sizeof values / sizeof *values };
    for (int i = 0; i < N; ++i)
        for (int j = 0; j < N; ++j) {
            const size_t a = values[i], b = values[j];
            size_t r = 77;
            const bool product_fits = a == 0 || b <= SIZE_MAX / a;
            check(pqk_mul_size(a, b, &r) == product_fits, "mul_size tells", a);
            check(r == (product_fits ? a * b : 77), "mul_size result", a);
            r = 77;
            const bool sum_fits = b <= SIZE_MAX - a;
            check(pqk_add_size(a, b, &r) == sum_fits, "add_size tells", a);
            check(r == (sum_fits ? a + b : 77), "add_size result", a);
        }
}

static void test_alignment(void)
{
    const size_t mib = 1 << 20;
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 4 * mib - 1, 4 * mib, 4 * mib + 1, 9 * mib + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        const size_t size = sizes[i], alignment = size >= 4 * mib ? 2 * mib : 64;
        unsigned char *p = pqk_aligned_alloc(size);
        check(p != NULL, "allocation", size);
        if (p == NULL) continue;
        check((uintptr_t)p % alignment == 0, "alignment", size);
        memset(p, 0xa5, size);
        pqk_aligned_free(p);
    }
    pqk_aligned_free(NULL);
    check(pqk_aligned_alloc(SIZE_MAX - 4096) == NULL, "an impossible size gives NULL", SIZE_MAX);
}

#if defined(PQK_TESTING)
static void test_failure_on_demand(void)
{
    for (uint32_t n = 0; n <= 5; ++n) {
        pqk_test_fail_allocation(n);
        for (uint32_t i = 1; i <= 8; ++i) {
            void *p = pqk_aligned_alloc(100);
            check((p == NULL) == (i == n), "the n-th allocation fails, and only that", i);
            pqk_aligned_free(p);
        }
    }
}
#endif

int main(void)
{
    test_sizes();
    test_alignment();
#if defined(PQK_TESTING)
    test_failure_on_demand();
#endif
    if (!failures) printf("memory: ok\n");
    return failures != 0;
}
