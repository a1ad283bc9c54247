/* roofline.h -- the loads and stores of a streaming kernel with no arithmetic: what memory allows.
 *
 *     for every element: read `read` bits at in, write `write` bits at out and `extra` bits at out2
 *
 * in the widest accesses of the layer in use.  The benchmarks measure it beside each kernel, in the
 * same process and minute, because a machine's absolute speed drifts.
 *
 * What is written is made of what was read (words are OR-ed where more are read than written, so that no load is
 * dead), and means nothing.  The ORs are not the limit: a load takes them along as its memory operand.  Read-only
 * patterns write one block of PQK_ROOFLINE_ELEMENTS / 8 bytes at the end of a run.
 *
 * Several ways, of which the fastest is the bound at a given size (enum pqk_roofline_way): stores through the caches
 * or around them, which saves reading each line of the output before it is overwritten; and one place in the
 * arrays after the other or four quarters at once, which keeps more requests to DRAM in flight.  Where a machine has
 * no stores around the caches, the two are the same.
 *
 * Pointers are multiples of 64 bytes, elements of PQK_ROOFLINE_ELEMENTS; arrays do not overlap.  The entry checks.
 */
#ifndef PQK_ROOFLINE_H
#define PQK_ROOFLINE_H
#include <stddef.h>

enum { PQK_ROOFLINE_ELEMENTS = 1024 };

enum pqk_roofline_way { PQK_ROOFLINE_STREAM = 1, PQK_ROOFLINE_PLACES = 2, PQK_ROOFLINE_WAYS = 4 }; /* bits, count */

/* X(read, write, extra), in bits an element, and who moves memory so. */
#define PQK_ROOFLINE_PATTERNS(X)                       \
    X(32, 8, 0)  /* quantize f32 to 8 bits */          \
    X(32, 16, 0) /* ... to 16 bits */                  \
    X(32, 4, 0)  /* ... to packed 4 bits */            \
    X(16, 8, 0)  /* quantize f16 and bf16 */           \
    X(16, 4, 0)                                        \
    X(8, 32, 0) /* dequantize 8 bits to f32 */         \
    X(8, 16, 0) /* ... to f16 and bf16 */              \
    X(4, 32, 0) /* ... from packed 4 bits */           \
    X(4, 16, 0)                                        \
    X(32, 32, 0) /* fake quantize f32 */               \
    X(16, 16, 0) /* ... f16 and bf16 */                \
    X(32, 32, 8) /* fake quantize f32 with its mask */ \
    X(16, 16, 8)                                       \
    X(32, 0, 0) /* observe f32 */                      \
    X(16, 0, 0) /* ... f16 and bf16 */

/* One run on one thread; `pattern` counts in PQK_ROOFLINE_PATTERNS. */
typedef void pqk_roofline_fn(int pattern, const char *in, char *out, char *out2, size_t elements, int way);

/* Runs `repeat` times on pyquantk's threads, with the accesses of the layer in use.  For measuring only and not
 * part of pyquantk.h.  Nonzero, and nothing done, where there is no such pattern or way, or an argument breaks the
 * rules above; out2 may be NULL where extra is 0. */
int pqk_roofline(int read, int write, int extra, const void *in, void *out, void *out2, size_t elements, int way,
                 int repeat);

#endif
