/* SPDX-License-Identifier: GPL-2.0 */
/* safe-copy: memcpy() into a mapping of a file that may become shorter, or full, meanwhile. */
#ifndef REGIONFS_SAFE_COPY_H
#define REGIONFS_SAFE_COPY_H

#include <stddef.h>

/*
 * By any thread. 0, or -EFAULT where a store would have been a SIGBUS: some of it may have been copied then. The first call takes SIGBUS for
 * the process; one that is not of such a copy, or where its bytes come from, ends it, as ever.
 */
int safe_copy(void *to, const void *from, size_t len);

#endif
