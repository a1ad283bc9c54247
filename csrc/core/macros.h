/* macros.h -- the only macros of the C core.  They make names and spell what compilers spell
 * differently; none of them contains logic. */
#ifndef PQK_MACROS_H
#define PQK_MACROS_H

/* In a file that says `#define PQK_ISA avx2`, PQK_NAME(quantize_f32_s8) is the symbol
 * pqk_quantize_f32_s8_avx2. */
#define PQK_NAME(op)   PQK_CAT(pqk_##op, PQK_ISA)
#define PQK_CAT(a, b)  PQK_CAT_(a, b)
#define PQK_CAT_(a, b) a##_##b

/* A loop over registers: gone at compile time.  Without the pragma GCC 12 leaves the array of
 * vectors in memory, and the int8 micro-kernel runs at 0.4 of its speed. */
#if defined(__clang__)
#define unrolled_for _Pragma("unroll") for
#elif defined(__GNUC__)
#define unrolled_for _Pragma("GCC unroll 32") for
#else
#define unrolled_for for
#endif

/* Sanitizers instrument every variable of every inlined copy: a kernel file that is all inlined takes them minutes and
 * gigabytes.  There, and only there, the compiler may call what it likes. */
#if defined(__has_feature)
#define PQK_HAS_FEATURE(feature) __has_feature(feature)
#else
#define PQK_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || PQK_HAS_FEATURE(address_sanitizer) || \
    PQK_HAS_FEATURE(thread_sanitizer) || PQK_HAS_FEATURE(memory_sanitizer)
#define PQK_ALWAYS_INLINE
#elif defined(__GNUC__)
#define PQK_ALWAYS_INLINE __attribute__((always_inline))
#endif

/* PQK_INLINE      always inlined; write `static PQK_INLINE`
 * PQK_ALIGNED(n)  before a declaration: its address is a multiple of n
 * PQK_EXPORT      before a definition: visible outside the extension module */
#if defined(_MSC_VER) && !defined(__clang__)
#define PQK_INLINE       __forceinline
#define PQK_NOINLINE     __declspec(noinline)
#define PQK_ALIGNED(n)   __declspec(align(n))
#define PQK_RESTRICT     __restrict
#define PQK_THREAD_LOCAL __declspec(thread)
#else
#define PQK_INLINE       inline PQK_ALWAYS_INLINE
#define PQK_NOINLINE     __attribute__((noinline))
#define PQK_ALIGNED(n)   __attribute__((aligned(n)))
#define PQK_RESTRICT     restrict
#define PQK_THREAD_LOCAL _Thread_local
#endif

#if defined(_WIN32)
#define PQK_EXPORT __declspec(dllexport)
#else
#define PQK_EXPORT __attribute__((visibility("default")))
#endif

/* PQK_X86 and PQK_ARM64: the 64-bit architectures that have kernels of their own.  ARM64EC is
 * x86-64 to its callers and runs the scalar kernels. */
#if (defined(__x86_64__) || defined(_M_X64)) && !defined(_M_ARM64EC)
#define PQK_X86 1
#elif defined(__aarch64__) || defined(_M_ARM64)
#define PQK_ARM64 1
#endif

#endif
