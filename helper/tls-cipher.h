/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tls-cipher: which cipher is faster on this host. AES-GCM is, where the CPU has instructions for it; elsewhere, and on an emulated CPU, which has them
 * at a price, ChaCha20-Poly1305 is by half as much and more. So it is measured, as the kernel does with its ways to xor.
 */
#ifndef REGIONFS_TLS_CIPHER_H
#define REGIONFS_TLS_CIPHER_H

#include <stdbool.h>

/* Measured once in a process: takes some ten microseconds, or a millisecond where ciphers are slow. Any thread. */
bool tls_cipher_is_chacha_faster(void);

#endif
