/* words.c -- the element types in a kernel's name. */
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct word dictionary[] = {
    {"f32",    1, {PQK_F32}                                                     },
    {"f16",    1, {PQK_F16}                                                     },
    {"bf16",   1, {PQK_BF16}                                                    },
    {"s8",     1, {PQK_S8}                                                      },
    {"u8",     1, {PQK_U8}                                                      },
    {"n8",     4, {PQK_S4, PQK_U4, PQK_S2, PQK_U2}                              },
    {"s16",    1, {PQK_S16}                                                     },
    {"u16",    1, {PQK_U16}                                                     },
    {"s32",    1, {PQK_S32}                                                     },
    {"n4",     2, {PQK_S4X2, PQK_U4X2}                                          },
    {"n2",     2, {PQK_S2X4, PQK_U2X4}                                          },
    {"narrow",
     14,          {PQK_E4M3FN, PQK_E5M2, PQK_E4M3FNUZ, PQK_E5M2FNUZ, PQK_E4M3B11FNUZ, PQK_E4M3, PQK_E3M4, PQK_E2M3FN, PQK_E3M2FN,
      PQK_E2M1FN, PQK_E8M0FNU, PQK_E2M3FNX4, PQK_E3M2FNX4, PQK_E2M1FNX2}},
    {"y",      0, {0}                                                           }, /* of fake_quantize: the result alone */
    {"ym",     0, {0}                                                           }, /* and a mask */
};

void words_of_kernel(const char *kernel, const char *operation, const struct word *words[2], int count)
{
    const char *at = kernel + strlen(operation);
    int found = 0;
    for (; found < count && *at == '_'; ++found) {
        const size_t length = strcspn(++at, "_");
        words[found] = NULL;
        for (size_t i = 0; i < sizeof dictionary / sizeof dictionary[0]; ++i)
            if (strlen(dictionary[i].text) == length && !strncmp(dictionary[i].text, at, length))
                words[found] = &dictionary[i];
        if (!words[found]) break;
        at += length;
    }
    if (strncmp(kernel, operation, strlen(operation)) || found != count || *at) {
        fprintf(stderr, "harness: the types in the name '%s' are not known: teach words.c\n", kernel);
        exit(2);
    }
}

pqk_type type_of_word(struct rng *rng, const struct word *word)
{
    return word->type[rng_below(rng, (uint32_t)word->types)];
}

size_t bytes_of_elements(pqk_type type, size_t n) { return (n * (size_t)pqk_type_bits(type) + 7) / 8; }
