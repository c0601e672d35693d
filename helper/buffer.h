/* SPDX-License-Identifier: GPL-2.0 */
/*
 * buffer: memory for the bytes of requests, which come and go by the thousand. malloc() either gives such pages back to the kernel each time, and getting fresh
 * ones costs more than the copying of their bytes; or it is made to keep them, and then keeps without a bound what lies between others. Here
 * some are kept, BUFFERS_KEPT together in a process, and the rest goes back at once.
 *
 * Threads: any.
 */
#ifndef REGIONFS_BUFFER_H
#define REGIONFS_BUFFER_H

#include <stddef.h>

#define BUFFERS_KEPT	(8u << 20)

/* Page-aligned, of any content; NULL: there is no memory. */
void *buffer_alloc(size_t length);
/* length: as it was asked for. NULL is let pass. */
void buffer_free(void *buffer, size_t length);

#endif
