/* arena.h -- scratch memory of a call, kept by its thread for the next one.
 *
 * A thread keeps one block of at most PQK_ARENA_KEPT bytes, so small calls cost no allocation and no page faults; what
 * is larger, or is asked for while the block is out, is allocated and returned.  The block is freed when its
 * thread ends.  After a fork the child goes on with the block of the thread that forked.
 */
#ifndef PQK_ARENA_H
#define PQK_ARENA_H
#include <stddef.h>

enum { PQK_ARENA_KEPT = 4 << 20 };

/* size bytes, uninitialized, at a multiple of 64; NULL if there is no memory. */
void *pqk_arena_take(size_t size);

/* Gives back, in the thread that took it, what pqk_arena_take gave, or NULL. */
void pqk_arena_give(void *memory);

#endif
