/* SPDX-License-Identifier: GPL-2.0 */
/* tls-files: keys and credentials as files, and what is demanded of them before they are believed. */
#ifndef REGIONFS_TLS_FILES_H
#define REGIONFS_TLS_FILES_H

#include <limits.h>
#include <stddef.h>

#include "tls.h"

struct tls_key {
	char identity[TLS_IDENTITY_MAX + 1];
	unsigned char bytes[TLS_KEY_MAX];
	size_t length;
};

/* "IDENTITY:HEX" as the file's one line. On error a sentence in why. */
int tls_key_read(const char *file, struct tls_key *key, char *why, size_t why_len);
/* Is the file there, and no one's business but its owner's? */
int tls_private_check(const char *file, char *why, size_t why_len);

/*
 * A named credential is a file in a directory of them, mode 0600: either a key file as above, or lines "cert=PATH",
 * "key=PATH" and "ca=PATH" (relative ones are of that directory).
 */
struct tls_credential {
	char psk[PATH_MAX];
	char cert[PATH_MAX];
	char key[PATH_MAX];
	char ca[PATH_MAX];
};

int tls_credential_read(const char *dir, const char *name, struct tls_credential *credential,
			char *why, size_t why_len);
/* Points options to what the credential names. */
void tls_credential_use(const struct tls_credential *credential, struct tls_options *options);

#endif
