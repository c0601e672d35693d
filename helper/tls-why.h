/* SPDX-License-Identifier: GPL-2.0 */
/* tls-why: OpenSSL's errors as sentences. Each empties its error queue. */
#ifndef REGIONFS_TLS_WHY_H
#define REGIONFS_TLS_WHY_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

/* What was refused, and OpenSSL's reason. */
void tls_why_error(char *why, size_t len, const char *what);
/* A handshake, or what came right after it, was refused, by this side or the other one. psk: with a pre-shared key. */
void tls_why_refused(const SSL *ssl, bool psk, char *why, size_t len);
/* Has the other side said that it does not let this one in? It does so when this one takes the handshake for done. */
bool tls_why_is_refusal(void);

#endif
