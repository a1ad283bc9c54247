/* roofline_dot.h -- how fast the cores multiply 8-bit integers when nothing but the multiplier is in the way: the
 * instruction on which the matrix product of a layer rests, on as many independent registers as hide its latency.
 *
 * One register is accumulator and operand where the instruction allows it, so that no compiler can move it out of the
 * loop.  The sums are stored at the end and mean nothing.  Measured beside each matrix product, as roofline.h is beside
 * the streaming kernels.
 */
#ifndef PQK_ROOFLINE_DOT_H
#define PQK_ROOFLINE_DOT_H
#include <stddef.h>
#include <stdint.h>

enum { PQK_ROOFLINE_DOT_SUMS = 2048 }; /* bytes that a run may store: all its registers */

/* `steps` times through all registers of one thread; returns the multiplications and additions of one step, each
 * counted.  sums has room for PQK_ROOFLINE_DOT_SUMS bytes. */
typedef int pqk_roofline_dot_fn(size_t steps, void *sums);

/* Runs `steps` on each of pyquantk's threads, with the instruction of the layer in use; returns the multiplications
 * and additions of all. */
double pqk_roofline_dot(size_t steps);

/* The same for float32: the fused multiply-add on which the float product rests. */
double pqk_roofline_fma(size_t steps);

#endif
