/* SPDX-License-Identifier: GPL-2.0 */
/* store-place: where a local store may not be. */
#ifndef REGIONFS_STORE_PLACE_H
#define REGIONFS_STORE_PLACE_H

#include <stddef.h>

/*
 * A store on a regionfs would be kept by the helper that it is to serve, or by one that waits for this one. -EINVAL, with a sentence in why, also
 * where dir isn't there yet and would be made on one. Any thread; may block as stat() does.
 */
int store_place_check(const char *dir, char *why, size_t why_len);

#endif
