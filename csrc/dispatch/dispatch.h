/* dispatch.h -- which kernel serves which operation on this CPU.
 *
 * A layer is an instruction set: what it needs of the CPU, and the kernels written for it.  Layers overlay each
 * other in the order of layers_<arch>.c, so a layer lists only what it does better than those before it.
 */
#ifndef PQK_DISPATCH_H
#define PQK_DISPATCH_H
#include "core/isa.h"
#include "dispatch/kernels.h"

struct pqk_layer {
    const char *name;
    uint32_t needs; /* enum pqk_feature bits, all that its compiler flags imply */
    const struct pqk_kernels *kernels;
};

extern const struct pqk_layer pqk_layers[];
extern const int pqk_layer_count;

enum { PQK_MAX_LAYERS = 16 };

/* The overlay of every layer that `features` can run.  Pure: tests ask it about CPUs that do not exist here. */
struct pqk_kernels pqk_select(uint32_t features);

/* The kernels in use: those of the best layer, or of the one that pqk_use_layer() chose. */
const struct pqk_kernels *pqk_active_kernels(void);

#endif
