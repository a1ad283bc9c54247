/* memory.h -- sizes that cannot overflow, and aligned memory.
 *
 * Kernels allocate nothing; these are for public entries and drivers.
 */
#ifndef PQK_MEMORY_H
#define PQK_MEMORY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *result = a * b, or a + b.  False, and *result untouched, if size_t cannot hold it. */
static inline bool pqk_mul_size(size_t a, size_t b, size_t *result)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *result = a * b;
    return true;
}

static inline bool pqk_add_size(size_t a, size_t b, size_t *result)
{
    if (a > SIZE_MAX - b) return false;
    *result = a + b;
    return true;
}

/* size bytes, uninitialized, at a multiple of 64; from 4 MiB on at a multiple of 2 MiB, with huge
 * pages asked for.  NULL if there is no memory; never NULL for size 0. */
void *pqk_aligned_alloc(size_t size);

/* Takes what pqk_aligned_alloc gave, or NULL. */
void pqk_aligned_free(void *memory);

#if defined(PQK_TESTING)
/* The n-th allocation from now fails (1 is the next one), and no other; 0: none does. */
void pqk_test_fail_allocation(uint32_t n);
#endif

#endif
