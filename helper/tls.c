// SPDX-License-Identifier: GPL-2.0
/* tls: OpenSSL between two memory BIOs. Of its TLS, with what else begins with tls-, the only user. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls.h"
#include "tls-cipher.h"
#include "tls-files.h"
#include "tls-names.h"
#include "tls-why.h"

struct tls_context {
	SSL_CTX *ctx;
	atomic_uint users;
	bool server;
	char *host;
	struct tls_key psk;	/* length 0: certificates */
};

struct tls {
	struct tls_context *context;
	SSL *ssl;
	BIO *in;		/* owned by ssl */
	BIO *out;
	char peer[TLS_IDENTITY_MAX + 1];
	char why[256];
};

#define CHACHA	"TLS_CHACHA20_POLY1305_SHA256"
#define AES_256	"TLS_AES_256_GCM_SHA384"
#define AES_128	"TLS_AES_128_GCM_SHA256"

/* RFC 8446: an external key belongs to one hash; this one's both sides take. */
static const unsigned char psk_cipher_id[] = { 0x13, 0x01 };

static int explain_error(char *why, size_t len, int error, const char *what, const char *file)
{
	char text[192];

	snprintf(text, sizeof(text), "%s %s", what, file);
	tls_why_error(why, len, text);
	return error;
}

/* The server takes what the client names first. */
static const char *ciphers(bool psk)
{
	bool chacha = tls_cipher_is_chacha_faster();

	if (psk)
		return chacha ? CHACHA ":" AES_128 : AES_128 ":" CHACHA;
	return chacha ? CHACHA ":" AES_256 ":" AES_128 : AES_256 ":" CHACHA ":" AES_128;
}

/* ---- pre-shared keys ---- */

static SSL_SESSION *psk_session(SSL *ssl, const struct tls_key *key)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, psk_cipher_id);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && cipher && SSL_SESSION_set1_master_key(session, key->bytes, key->length) &&
	    SSL_SESSION_set_cipher(session, cipher) &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static int psk_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len,
		   SSL_SESSION **session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	const struct tls_key *key = &tls->context->psk;

	*session = NULL;
	*id = (const unsigned char *)key->identity;
	*id_len = strlen(key->identity);
	if (md && !EVP_MD_is_a(md, "SHA256"))
		return 1;	/* after a HelloRetryRequest for another hash: no key fits */
	*session = psk_session(ssl, key);
	return *session != NULL;
}

static int psk_find(SSL *ssl, const unsigned char *id, size_t id_len, SSL_SESSION **session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	const struct tls_key *key = &tls->context->psk;

	*session = NULL;
	if (id_len != strlen(key->identity) || CRYPTO_memcmp(id, key->identity, id_len))
		return 1;	/* unknown: the handshake fails for want of a certificate */
	*session = psk_session(ssl, key);
	snprintf(tls->peer, sizeof(tls->peer), "%s", key->identity);
	return *session != NULL;
}

static int context_psk(struct tls_context *context, const char *file, char *why, size_t why_len)
{
	int ret = tls_key_read(file, &context->psk, why, why_len);

	if (ret)
		return ret;
	if (context->server) {
		SSL_CTX_set_psk_find_session_callback(context->ctx, psk_find);
		return 0;
	}
	SSL_CTX_set_psk_use_session_callback(context->ctx, psk_use);
	/* Should a server come up with a certificate instead of the key, it is not ours. */
	SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

/* ---- certificates ---- */

static int context_certs(struct tls_context *context, const struct tls_options *options, char *why,
			 size_t why_len)
{
	SSL_CTX *ctx = context->ctx;
	int ret;

	if (!options->cert || !options->key || !options->ca) {
		snprintf(why, why_len, "certificates need all of cert, key and ca");
		return -EINVAL;
	}
	ret = tls_private_check(options->key, why, why_len);
	if (ret)
		return ret;
	if (SSL_CTX_use_certificate_chain_file(ctx, options->cert) != 1)
		return explain_error(why, why_len, -EINVAL, "certificate", options->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return explain_error(why, why_len, -EINVAL, "private key", options->key);
	if (SSL_CTX_load_verify_locations(ctx, options->ca, NULL) != 1)
		return explain_error(why, why_len, -EINVAL, "CA", options->ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

/* ---- contexts ---- */

static SSL_CTX *context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (!ctx)
		return NULL;
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* No tickets: a resumed session would outlive a key that was taken away. */
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	return ctx;
}

static int context_fill(struct tls_context *context, const struct tls_options *options, char *why,
			size_t why_len)
{
	if (options->psk && (options->cert || options->key || options->ca)) {
		snprintf(why, why_len, "either a pre-shared key or certificates, not both");
		return -EINVAL;
	}
	if (options->host) {
		context->host = strdup(options->host);
		if (!context->host)
			return -ENOMEM;
	}
	if (!SSL_CTX_set_ciphersuites(context->ctx, ciphers(options->psk)))
		return -ENOTSUP;
	return options->psk ? context_psk(context, options->psk, why, why_len)
			    : context_certs(context, options, why, why_len);
}

int tls_context_open(struct tls_context **result, const struct tls_options *options, char *why,
		     size_t why_len)
{
	struct tls_context *context = calloc(1, sizeof(*context));
	int ret = -ENOMEM;

	if (!context)
		return -ENOMEM;
	snprintf(why, why_len, "out of memory");
	atomic_init(&context->users, 1);
	context->server = options->server;
	context->ctx = context_new();
	if (context->ctx)
		ret = context_fill(context, options, why, why_len);
	if (ret) {
		tls_context_put(context);
		return ret;
	}
	*result = context;
	return 0;
}

const char *tls_cipher_name(const struct tls *tls)
{
	return SSL_CIPHER_get_name(SSL_get_current_cipher(tls->ssl));
}

struct tls_context *tls_context_get(struct tls_context *context)
{
	if (context)
		atomic_fetch_add(&context->users, 1);
	return context;
}

void tls_context_put(struct tls_context *context)
{
	if (!context || atomic_fetch_sub(&context->users, 1) != 1)
		return;
	SSL_CTX_free(context->ctx);
	OPENSSL_cleanse(&context->psk, sizeof(context->psk));
	free(context->host);
	free(context);
}

/* ---- connections ---- */

static int check_host(struct tls *tls)
{
	const char *host = tls->context->host;

	if (!host || tls->context->server || tls->context->psk.length)
		return 0;
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), host))
		return 0;
	ERR_clear_error();
	SSL_set_tlsext_host_name(tls->ssl, host);
	return SSL_set1_host(tls->ssl, host) ? 0 : -EINVAL;
}

static int tls_attach(struct tls *tls)
{
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	if (!tls->in || !tls->out) {
		BIO_free(tls->in);
		BIO_free(tls->out);
		return -ENOMEM;
	}
	/* An empty buffer means "later", not the end of the stream. */
	BIO_set_mem_eof_return(tls->in, -1);
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_app_data(tls->ssl, tls);
	if (tls->context->server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	return check_host(tls);
}

int tls_open(struct tls **result, struct tls_context *context)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	int ret = -ENOMEM;

	if (!tls)
		return -ENOMEM;
	tls->context = tls_context_get(context);
	tls->ssl = SSL_new(context->ctx);
	if (tls->ssl)
		ret = tls_attach(tls);
	if (ret) {
		tls_close(tls);
		return ret;
	}
	*result = tls;
	return 0;
}

void tls_close(struct tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	tls_context_put(tls->context);
	free(tls);
}

int tls_feed(struct tls *tls, const void *buf, size_t len)
{
	size_t done;

	if (!len)
		return 0;
	return BIO_write_ex(tls->in, buf, len, &done) == 1 && done == len ? 0 : -ENOMEM;
}

static void name_peer(struct tls *tls)
{
	X509 *cert;

	if (tls->context->psk.length) {
		snprintf(tls->peer, sizeof(tls->peer), "%s", tls->context->psk.identity);
		return;
	}
	cert = SSL_get1_peer_certificate(tls->ssl);
	if (!cert)
		return;
	tls_names_show(cert, tls->peer, sizeof(tls->peer));
	X509_free(cert);
}

/* With a key configured, nothing but that key will do: a session that used none is refused. */
static int check_peer(struct tls *tls)
{
	if (tls->context->psk.length && !SSL_session_reused(tls->ssl)) {
		snprintf(tls->why, sizeof(tls->why), "the other side does not hold the key");
		return -EACCES;
	}
	name_peer(tls);
	return 0;
}

int tls_handshake(struct tls *tls)
{
	int ret;

	if (SSL_is_init_finished(tls->ssl))
		return 0;
	ERR_clear_error();
	ret = SSL_do_handshake(tls->ssl);
	if (ret == 1)
		return check_peer(tls);
	ret = SSL_get_error(tls->ssl, ret);
	if (ret == SSL_ERROR_WANT_READ || ret == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	tls_why_refused(tls->ssl, tls->context->psk.length, tls->why, sizeof(tls->why));
	return -EACCES;
}

ptrdiff_t tls_read(struct tls *tls, void *buf, size_t len)
{
	size_t done = 0;
	int ret;

	ERR_clear_error();
	ret = SSL_read_ex(tls->ssl, buf, len, &done);
	if (ret == 1)
		return (ptrdiff_t)done;
	ret = SSL_get_error(tls->ssl, ret);
	if (ret == SSL_ERROR_WANT_READ || ret == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (ret == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (tls_why_is_refusal()) {
		tls_why_refused(tls->ssl, tls->context->psk.length, tls->why, sizeof(tls->why));
		return -EACCES;
	}
	tls_why_error(tls->why, sizeof(tls->why), "TLS");
	return -EPROTO;
}

int tls_write(struct tls *tls, const void *buf, size_t len)
{
	size_t done = 0;

	if (!len)
		return 0;
	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, buf, len, &done) == 1 && done == len)
		return 0;
	tls_why_error(tls->why, sizeof(tls->why), "TLS");
	return -EPROTO;
}

size_t tls_pull(struct tls *tls, void *buf, size_t room)
{
	size_t len = 0;

	return BIO_read_ex(tls->out, buf, room, &len) == 1 ? len : 0;
}

void tls_finish(struct tls *tls)
{
	if (SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
}

const char *tls_peer(const struct tls *tls)
{
	return tls->peer;
}

bool tls_peer_is(const struct tls *tls, const char *who)
{
	bool psk = !strncmp(who, TLS_PSK_PREFIX, strlen(TLS_PSK_PREFIX));
	X509 *cert;

	if (psk || tls->context->psk.length)
		return psk && tls->context->psk.length && !strcmp(tls->peer, who + strlen(TLS_PSK_PREFIX));
	cert = SSL_get0_peer_certificate(tls->ssl);
	return cert && tls_names_has(cert, who);
}

bool tls_context_is_psk(const struct tls_context *context)
{
	return context->psk.length;
}

bool tls_equal(const void *one, const void *other, size_t len)
{
	return !CRYPTO_memcmp(one, other, len);
}

const char *tls_why(const struct tls *tls)
{
	return tls->why;
}
