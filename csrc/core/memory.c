/* memory.c -- aligned allocation; see memory.h. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* posix_memalign, madvise under -std=c11 */
#endif
#include "core/memory.h"

#if defined(_WIN32)
#include <malloc.h>
#else
#include <stdlib.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum {
    CACHE_LINE = 64,     /* and the width of a ZMM register */
    HUGE_PAGE = 2 << 20, /* x86, and arm64 with 4 KiB pages */
    /* Below two huge pages the alignment could waste more than the page walk costs. */
    HUGE_FROM = 2 * HUGE_PAGE,
};

#if defined(PQK_TESTING)
#include "core/atomics.h"

static pqk_atomic_u32 allocations_left; /* until the one that fails, itself included; 0: none */

void pqk_test_fail_allocation(uint32_t n) { pqk_store_u32(&allocations_left, n); }

static bool fails_now(void)
{
    uint32_t left = pqk_load_u32(&allocations_left);
    while (left != 0)
        if (pqk_compare_exchange_u32(&allocations_left, &left, left - 1)) return left == 1;
    return false;
}
#else
static bool fails_now(void) { return false; }
#endif

void *pqk_aligned_alloc(size_t size)
{
    if (fails_now()) return NULL;
    if (size == 0) size = 1; /* NULL is to mean one thing */
    const size_t alignment = size >= HUGE_FROM ? HUGE_PAGE : CACHE_LINE;
#if defined(_WIN32)
    return _aligned_malloc(size, alignment);
#else
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size)) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    /* Advice: without transparent huge pages it fails and nothing is lost. */
    if (size >= HUGE_FROM) (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
#endif
}

void pqk_aligned_free(void *memory)
{
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
}
