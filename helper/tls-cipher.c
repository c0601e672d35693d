// SPDX-License-Identifier: GPL-2.0
/* tls-cipher: see tls-cipher.h. */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdint.h>

#include "loop.h"
#include "tls-cipher.h"

/* A record of TLS, some times; the best one counts, since the others may have been interrupted. */
#define RECORD	16384
#define ROUNDS	4

/* ns for one record; 0: it can't be had */
static uint64_t seal(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher)
{
	static const uint8_t key[32], iv[12];
	static uint8_t record[RECORD];
	uint64_t start = loop_now_ns();
	uint8_t tag[16];
	int len;

	if (EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, record, &len, record, RECORD) != 1 || EVP_EncryptFinal_ex(ctx, record, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) != 1)
		return 0;
	return loop_now_ns() - start + 1;
}

static uint64_t best_of(const EVP_CIPHER *cipher)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint64_t best = 0;

	for (unsigned int i = 0; ctx && i < ROUNDS; i++) {
		uint64_t took = seal(ctx, cipher);

		best = took && (!best || took < best) ? took : best;
	}
	EVP_CIPHER_CTX_free(ctx);
	return best;
}

static bool is_faster;

/* By an eighth: else chance would decide. */
static void measure(void)
{
	uint64_t aes = best_of(EVP_aes_128_gcm()), chacha = best_of(EVP_chacha20_poly1305());

	is_faster = chacha && (!aes || chacha + chacha / 8 < aes);
}

bool tls_cipher_is_chacha_faster(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, measure);
	return is_faster;
}
