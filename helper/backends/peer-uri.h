/* SPDX-License-Identifier: GPL-2.0 */
/* peer-uri: the parts of a peer's URI. */
#ifndef REGIONFS_PEER_URI_H
#define REGIONFS_PEER_URI_H

#include "backend.h"

/* struct backend_ops' check. */
int peer_uri_check(const struct uri *uri, char *why, size_t why_len);
/* The name of the region there; NULL: none given. */
const char *peer_uri_region(const struct uri *uri);
/* Leaves value alone where it isn't given; -EINVAL: no number, or above max. */
int peer_uri_number(const struct uri *uri, const char *key, uint32_t max, uint32_t *value);
/* Is it to be TLS? */
bool peer_uri_credential(const struct uri *uri);

#endif
