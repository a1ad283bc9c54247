/* entries.c -- the public functions, on every layer of this CPU, each with its own random calls. */
#include <stdio.h>
#include "entry.h"
#include "gemm.h"
#include "requantize.h"

void test_entries(struct harness *h)
{
    const uint64_t count = h->options.stride > 1 ? 600 : 12000;
    const int threads = pqk_get_num_threads();
    for (int l = 0; l < pqk_layer_count; ++l) {
        if (pqk_use_layer(l)) continue;
        h->layer = pqk_layer_name(l);
        machine_running = "a public function on layer ";
        for (uint64_t i = 0; i < count; ++i) {
            if (h->options.only >= 0 && (uint64_t)h->options.only != i) continue;
            h->kernel = "entries";
            entry_affine_case(h, i);
            if (i % 4 == 0) entry_observe_case(h, i);
            if (i % 2 == 0) entry_requantize_case(h, i);
            if (i % 2 == 1) entry_gemm_case(h, i);
        }
        if (h->options.limit && h->layer == h->options.limit) break;
        if (h->options.only < 0) test_entry_errors(h), test_entry_requantize(h), test_entry_gemm(h);
    }
    if (h->options.only < 0) test_entry_sizes(h);
    pqk_set_num_threads(threads);
}
