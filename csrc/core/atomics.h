/* atomics.h -- the few atomic operations of the core, for C11 compilers and for MSVC.
 *
 * All of them are sequentially consistent.  The pool does a handful per call, so a weaker order
 * would save nothing that can be measured, and one total order is what its proofs use.
 */
#ifndef PQK_ATOMICS_H
#define PQK_ATOMICS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(_MSC_VER) || defined(__clang__)
#include <stdatomic.h>

typedef _Atomic uint32_t pqk_atomic_u32;
typedef _Atomic size_t pqk_atomic_size;

static inline uint32_t pqk_load_u32(pqk_atomic_u32 *p) { return atomic_load(p); }
static inline void pqk_store_u32(pqk_atomic_u32 *p, uint32_t x) { atomic_store(p, x); }
static inline uint32_t pqk_exchange_u32(pqk_atomic_u32 *p, uint32_t x) { return atomic_exchange(p, x); }
static inline uint32_t pqk_fetch_add_u32(pqk_atomic_u32 *p, uint32_t x) { return atomic_fetch_add(p, x); }
static inline uint32_t pqk_fetch_and_u32(pqk_atomic_u32 *p, uint32_t x) { return atomic_fetch_and(p, x); }
static inline uint32_t pqk_fetch_or_u32(pqk_atomic_u32 *p, uint32_t x) { return atomic_fetch_or(p, x); }
/* Stores x if *p is *expected, else loads *p into *expected; tells which. */
static inline bool pqk_compare_exchange_u32(pqk_atomic_u32 *p, uint32_t *expected, uint32_t x)
{
    return atomic_compare_exchange_strong(p, expected, x);
}
static inline size_t pqk_load_size(pqk_atomic_size *p) { return atomic_load(p); }
static inline void pqk_store_size(pqk_atomic_size *p, size_t x) { atomic_store(p, x); }
static inline size_t pqk_fetch_add_size(pqk_atomic_size *p, size_t x) { return atomic_fetch_add(p, x); }

#else /* MSVC has no <stdatomic.h> in its plain C11 mode; Interlocked* are full barriers */
#include <intrin.h>

typedef volatile long pqk_atomic_u32;
typedef volatile __int64 pqk_atomic_size;

/* Stores go through Interlocked*, so on x86 a plain load completes the total order. */
#if defined(_M_ARM64)
#define PQK_LOAD_BARRIER() __dmb(_ARM64_BARRIER_ISH)
#else
#define PQK_LOAD_BARRIER() _ReadWriteBarrier()
#endif

static inline uint32_t pqk_load_u32(pqk_atomic_u32 *p)
{
    PQK_LOAD_BARRIER();
    const long x = *p;
    PQK_LOAD_BARRIER();
    return (uint32_t)x;
}
static inline void pqk_store_u32(pqk_atomic_u32 *p, uint32_t x) { (void)_InterlockedExchange(p, (long)x); }
static inline uint32_t pqk_exchange_u32(pqk_atomic_u32 *p, uint32_t x)
{
    return (uint32_t)_InterlockedExchange(p, (long)x);
}
static inline uint32_t pqk_fetch_add_u32(pqk_atomic_u32 *p, uint32_t x)
{
    return (uint32_t)_InterlockedExchangeAdd(p, (long)x);
}
static inline uint32_t pqk_fetch_and_u32(pqk_atomic_u32 *p, uint32_t x)
{
    return (uint32_t)_InterlockedAnd(p, (long)x);
}
static inline uint32_t pqk_fetch_or_u32(pqk_atomic_u32 *p, uint32_t x) { return (uint32_t)_InterlockedOr(p, (long)x); }
static inline bool pqk_compare_exchange_u32(pqk_atomic_u32 *p, uint32_t *expected, uint32_t x)
{
    const uint32_t found = (uint32_t)_InterlockedCompareExchange(p, (long)x, (long)*expected);
    const bool swapped = found == *expected;
    *expected = found;
    return swapped;
}
static inline size_t pqk_load_size(pqk_atomic_size *p)
{
    PQK_LOAD_BARRIER();
    const __int64 x = *p;
    PQK_LOAD_BARRIER();
    return (size_t)x;
}
static inline void pqk_store_size(pqk_atomic_size *p, size_t x) { (void)_InterlockedExchange64(p, (__int64)x); }
static inline size_t pqk_fetch_add_size(pqk_atomic_size *p, size_t x)
{
    return (size_t)_InterlockedExchangeAdd64(p, (__int64)x);
}
#endif

#endif
