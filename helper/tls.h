/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tls: TLS 1.3 for peer connections, as a filter between two buffers. It never touches a socket: bytes that came are
 * given to tls_feed(), bytes that have to go are taken by tls_pull(), so that the reactor alone does I/O.
 *
 * Both sides prove who they are: by a pre-shared key (one line "IDENTITY:HEX" in a file of mode 0600) or by
 * certificates that a CA of the user's signed, in both directions.
 *
 * A context may be shared by connections of one loop; a struct tls belongs to one connection.
 */
#ifndef REGIONFS_TLS_H
#define REGIONFS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_IDENTITY_MAX	128u
#define TLS_PSK_PREFIX		"psk:"	/* in front of an identity, where certificates' names can stand as well */
#define TLS_KEY_MIN		16u	/* bytes of a pre-shared key */
#define TLS_KEY_MAX		64u

struct tls_context;
struct tls;

struct tls_options {
	const char *psk;	/* file; or */
	const char *cert;	/* these three, PEM files; key of mode 0600 */
	const char *key;
	const char *ca;
	const char *host;	/* client with certificates: the name or address that the server's must carry */
	bool server;
};

/* Does this name any credential at all? */
static inline bool tls_wanted(const struct tls_options *options)
{
	return options->psk || options->cert || options->key || options->ca;
}

/* Reads the files (small, local: done when a backend or listener is made). On error a sentence in why. */
int tls_context_open(struct tls_context **context, const struct tls_options *options, char *why,
		     size_t why_len);
struct tls_context *tls_context_get(struct tls_context *context);
void tls_context_put(struct tls_context *context);
bool tls_context_is_psk(const struct tls_context *context);

int tls_open(struct tls **tls, struct tls_context *context);
void tls_close(struct tls *tls);

/* Bytes that came from the other side. 0 or -ENOMEM; the caller then calls tls_read() until -EAGAIN, so little stays. */
int tls_feed(struct tls *tls, const void *buf, size_t len);
/* Goes on with the handshake: 0 when it is done, -EAGAIN when the other side has to speak, -EACCES when it was refused. */
int tls_handshake(struct tls *tls);
/* Decrypted bytes; -EAGAIN: none now; 0: the other side has ended in order; -EACCES: it does not let us in; -EPROTO. */
ptrdiff_t tls_read(struct tls *tls, void *buf, size_t len);
/* Encrypts all of it for tls_pull(). 0, -EPROTO, -ENOMEM. */
int tls_write(struct tls *tls, const void *buf, size_t len);
/* Moves bytes that have to be sent into buf; how many, 0: there are none. Copied, since any call may move the originals. */
size_t tls_pull(struct tls *tls, void *buf, size_t room);
/* Announces the end, for tls_pull(). */
void tls_finish(struct tls *tls);

/* Who the other side is: its identity, or its certificate's subject. "" before the handshake. */
const char *tls_peer(const struct tls *tls);
/* Has it proved to be that, "psk:IDENTITY", or a name of its certificate as tls-names.h has it? After the handshake. */
bool tls_peer_is(const struct tls *tls, const char *who);
/* As OpenSSL calls it; "(NONE)" before the handshake. */
const char *tls_cipher_name(const struct tls *tls);
/* Why the handshake failed: a sentence. */
const char *tls_why(const struct tls *tls);

/* Of what only some may know: how long it takes does not tell how much of it is the same. */
bool tls_equal(const void *one, const void *other, size_t len);

#endif
