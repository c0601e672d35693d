// SPDX-License-Identifier: GPL-2.0
/* A file of credentials: as a key, which is written anew, and as a named one. */
#include "fuzz/fuzz-text.h"
#include "text.h"
#include "tls-files.h"

static void check_key(const struct tls_key *key)
{
	struct text text = { .len = 0 };
	struct tls_key again;
	char why[512], hex[3];

	CHECK(key->length >= TLS_KEY_MIN && key->length <= TLS_KEY_MAX && *key->identity);
	CHECK(strlen(key->identity) <= TLS_IDENTITY_MAX);
	text_string(&text, key->identity);
	text_string(&text, ":");
	for (size_t i = 0; i < key->length; i++) {
		snprintf(hex, sizeof(hex), "%02x", key->bytes[i]);
		text_string(&text, hex);
	}
	CHECK(!tls_key_read(fuzz_file(text.data, text.len), &again, why, sizeof(why)));
	CHECK(!memcmp(&again, key, sizeof(again)));
	text_free(&text);
}

/* A path of its own for each, absolute ones left alone. */
static void check_credential(const struct tls_credential *credential, const char *file)
{
	const char *paths[] = { credential->psk, credential->cert, credential->key, credential->ca };

	for (unsigned int i = 0; i < 4; i++)
		CHECK(strlen(paths[i]) < PATH_MAX && (!*paths[i] || *paths[i] == '/'));
	CHECK(!*credential->psk || (!strcmp(credential->psk, file) && !*credential->cert && !*credential->key && !*credential->ca));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *file = fuzz_file(data, size);
	struct tls_credential credential;
	struct tls_key key;
	char why[512] = "";
	int err;

	err = tls_credential_read("/proc/self/fd", strrchr(file, '/') + 1, &credential, why, sizeof(why));
	CHECK(!err == !*why);
	if (!err)
		check_credential(&credential, file);
	*why = '\0';
	err = tls_key_read(file, &key, why, sizeof(why));
	CHECK(!err == !*why);
	if (!err)
		check_key(&key);
	return 0;
}
