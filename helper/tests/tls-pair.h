/* SPDX-License-Identifier: GPL-2.0 */
/* Both sides of a TLS connection, without a wire. */
#ifndef REGIONFS_TESTS_TLS_PAIR_H
#define REGIONFS_TESTS_TLS_PAIR_H

#include <errno.h>

#include "tap.h"
#include "tls.h"

static inline struct tls *side(const struct tls_options *options)
{
	struct tls_context *context;
	struct tls *tls;
	char why[256];

	if (tls_context_open(&context, options, why, sizeof(why)))
		printf("# %s\n", why), exit(99);
	if (tls_open(&tls, context))
		exit(99);
	tls_context_put(context);
	return tls;
}

/* What the one has to send goes to the other. */
static inline void carry(struct tls *from, struct tls *to)
{
	char buf[1000];
	size_t len;

	while ((len = tls_pull(from, buf, sizeof(buf))))
		tls_feed(to, buf, len);
}

/* 0, or the first error of either side. */
static inline int shake(struct tls *client, struct tls *server)
{
	int c = -EAGAIN, s = -EAGAIN;

	for (int i = 0; i < 10 && (c == -EAGAIN || s == -EAGAIN); i++) {
		c = tls_handshake(client);
		carry(client, server);
		s = tls_handshake(server);
		carry(server, client);
		if ((c && c != -EAGAIN) || (s && s != -EAGAIN))
			return c && c != -EAGAIN ? c : s;
	}
	return c ? c : s;
}

#endif
