/* SPDX-License-Identifier: GPL-2.0 */
/* memory-uri: the parts of a source in memory, memory:SIZE?name=NAME&delay=TIME. */
#ifndef REGIONFS_MEMORY_URI_H
#define REGIONFS_MEMORY_URI_H

#include "backend.h"

/* struct backend_ops' check, generic and child. */
int memory_uri_check(const struct uri *uri, char *why, size_t why_len);
bool memory_uri_generic(const struct uri *uri);
char *memory_uri_child(const struct uri *base, const char *name);
/* Of its file; NULL: none given. */
const char *memory_uri_name(const struct uri *uri);
/* 0: none given; -EINVAL. */
int memory_uri_size(const struct uri *uri, uint64_t *size);
/* So many ms after it was asked a request is answered; 0: at once; -EINVAL: no duration, or too long. */
int memory_uri_delay(const struct uri *uri, uint64_t *ms);

#endif
