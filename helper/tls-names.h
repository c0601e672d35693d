/* SPDX-License-Identifier: GPL-2.0 */
/* tls-names: whose a certificate is. */
#ifndef REGIONFS_TLS_NAMES_H
#define REGIONFS_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/x509.h>

/* Its subject's CN, for people: what can't be printed is '?'. "certificate" when there is none. */
void tls_names_show(X509 *cert, char *name, size_t len);
/* Is it a name of it: its subject's CN, or a DNS name or an address of its subjectAltName? No part of one, and no pattern. */
bool tls_names_has(X509 *cert, const char *name);

#endif
