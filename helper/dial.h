/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dial: from a peer's URI to a connected stream socket: names are resolved off the reactor, addresses are
 * tried one after the other.
 *
 *   peer://HOST:PORT/REGION, peer+plain://HOST:PORT/REGION	TCP
 *   peer+unix:PATH?region=REGION				a UNIX stream socket
 *   peer+exec:COMMAND?region=REGION				stdin and stdout of /bin/sh -c COMMAND, run by the spawner
 *
 * Embedded by its user, like a loop_op: it is the loop's from dial_start() to done.
 */
#ifndef REGIONFS_DIAL_H
#define REGIONFS_DIAL_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "backend.h"
#include "loop.h"

#define DIAL_PORT 7346	/* where the URI gives none */

struct spawner;

struct dial {
	/* the caller's */
	struct loop *loop;
	const struct uri *uri;		/* valid until done */
	uint32_t timeout_ms;		/* for each address; 0: 10 s */
	/* fd, the caller's from now on, or a negative errno and a sentence. Never from within dial_start(). */
	void (*done)(struct dial *dial, int fd, const char *why);
	/* dial.c's */
	struct loop_work work;
	struct loop_op op;
	struct loop_timer timer;
	struct loop_task task;
	struct addrinfo *addresses, *next;
	struct sockaddr_un local;
	int fd;
	int error;
	bool canceled, connecting;
	char why[256];
};

void dial_start(struct dial *dial);
/* done still comes, with -ECANCELED or what it was about to tell. */
void dial_cancel(struct dial *dial);

/* Who runs the commands of peer+exec:, for all dials of the process; NULL: they are refused. */
void dial_set_spawner(struct spawner *spawner);

/* "ADDR:PORT", "[ADDR]:PORT" (numbers) or "unix:PATH" as an address. On error a sentence. */
int dial_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len, char *why,
	       size_t why_len);
/* Is it one that only this host can reach? */
bool dial_is_local(const struct sockaddr_storage *addr);

#endif
