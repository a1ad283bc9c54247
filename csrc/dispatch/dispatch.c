/* dispatch.c -- from CPU features to one kernel per operation. */
#include "dispatch/dispatch.h"
#include "core/atomics.h"

struct pqk_kernels pqk_select(uint32_t features)
{
    struct pqk_kernels best = *pqk_layers[0].kernels;
    for (int i = 1; i < pqk_layer_count; ++i) {
        const struct pqk_layer *layer = &pqk_layers[i];
        if ((layer->needs & features) != layer->needs) continue;
#define PQK_SLOT(op, type) \
    if (layer->kernels->op) best.op = layer->kernels->op;
        PQK_ALL_OPS
#undef PQK_SLOT
    }
    return best;
}

/* One table per layer, all made before the first use.  Two threads that arrive together write the same values. */
static struct pqk_kernels tables[PQK_MAX_LAYERS];
static pqk_atomic_u32 active; /* 0: not chosen yet; otherwise the layer + 1 */

int pqk_layer_supported(int layer)
{
    if (layer < 0 || layer >= pqk_layer_count) return 0;
    return (pqk_layers[layer].needs & pqk_cpu_features()) == pqk_layers[layer].needs;
}

const char *pqk_layer_name(int layer) { return layer >= 0 && layer < pqk_layer_count ? pqk_layers[layer].name : NULL; }

static int best_layer(void)
{
    int best = 0;
    for (int i = 0; i < pqk_layer_count; ++i)
        if (pqk_layer_supported(i)) best = i;
    return best;
}

static uint32_t choose_first(void)
{
    for (int i = 0; i < pqk_layer_count; ++i) tables[i] = pqk_select(pqk_layers[i].needs & pqk_cpu_features());
    uint32_t expected = 0;
    const uint32_t best = (uint32_t)best_layer() + 1;
    return pqk_compare_exchange_u32(&active, &expected, best) ? best : expected;
}

static uint32_t active_or_first(void)
{
    const uint32_t now = pqk_load_u32(&active);
    return now ? now : choose_first();
}

const struct pqk_kernels *pqk_active_kernels(void) { return &tables[active_or_first() - 1]; }

int pqk_active_layer(void) { return (int)active_or_first() - 1; }

pqk_status pqk_use_layer(int layer)
{
    if (!pqk_layer_supported(layer)) return PQK_ERROR_LAYER;
    active_or_first();
    pqk_store_u32(&active, (uint32_t)layer + 1);
    return PQK_OK;
}

static const char *const operation_names[] = {
#define PQK_SLOT(op, type) #op,
    PQK_ALL_OPS
#undef PQK_SLOT
};
enum { OPERATIONS = sizeof operation_names / sizeof operation_names[0] };

const char *pqk_operation_name(int operation)
{
    return operation >= 0 && operation < OPERATIONS ? operation_names[operation] : NULL;
}

/* Does this layer bring the kernel that the active table holds? */
static int serves(const struct pqk_kernels *layer, const struct pqk_kernels *now, int operation)
{
    int i = 0;
#define PQK_SLOT(op, type) \
    if (i++ == operation) return layer->op == now->op;
    PQK_ALL_OPS
#undef PQK_SLOT
    return 0;
}

const char *pqk_operation_layer(int operation)
{
    if (!pqk_operation_name(operation)) return NULL;
    const struct pqk_kernels *now = pqk_active_kernels();
    for (int i = pqk_layer_count - 1; i >= 0; --i)
        if (serves(pqk_layers[i].kernels, now, operation)) return pqk_layers[i].name;
    return NULL;
}
