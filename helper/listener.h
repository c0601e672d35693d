/* SPDX-License-Identifier: GPL-2.0 */
/*
 * listener: an address where peers call, who is let in there, and which regions they find.
 *
 * Threads: the main loop's alone. Life: a listener is made with its first export and goes with its last one.
 */
#ifndef REGIONFS_LISTENER_H
#define REGIONFS_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "door.h"
#include "list.h"
#include "loop.h"
#include "tls.h"

/* Connections of one listener (a session has up to five, or as many as its user has asked for). door.h has how many may be of strangers. */
#define LISTENER_CONNECTIONS	16384u
/* Bytes that all requests of a listener may hold; who would take more waits. */
#define LISTENER_MEMORY		(64u << 20)
/* On top of it, for demand connections, and READs that a program waits for, alone: bulk that holds all the rest must not stand in their way. */
#define LISTENER_RESERVE	(4u << 20)
/* Bytes of WRITEs that all its connections may send ahead, as they were promised; beyond it each may have a single one. */
#define LISTENER_CREDIT		(128u << 20)

struct export;

struct server {
	struct loop *loop;
	struct list listeners;
	uint8_t id[16];		/* another one after a reboot */
	char name[256];		/* this host, as peers are told */
	uint64_t features;	/* WIRE_FEAT_* that it has */
	struct door_limits limits;
	struct list shrinks;	/* bulk READs whose bytes wait to be shrunk */
	unsigned int nr_shrinking;	/* those that are */
};

struct listener_options {
	const char *listen;	/* ADDR:PORT or unix:PATH */
	const char *tls_psk, *tls_cert, *tls_key, *tls_ca;
	bool insecure;
};

struct listener {
	struct server *server;
	struct list list;
	char *text;		/* as it was asked for */
	char address[128];	/* with the port that was found for port 0 */
	char *path;		/* UNIX socket to be unlinked, or NULL */
	char *credentials;	/* the names of the files by which peers are known there, a line each; may be empty */
	struct tls_context *tls;
	int fd;
	struct loop_op accept;
	struct loop_timer pause;	/* after an error of accept, or when too many come */
	bool accepting, closing;
	struct list services;
	unsigned int nr_services;
	struct door door;
	struct list exports;
	uint64_t memory;
	uint64_t credit;		/* that its connections were given, in all */
	struct list hungry;	/* services that wait for memory */
	struct loop_task feed;
	bool feeding;
};

int server_open(struct server **server, struct loop *loop);
/* All exports have gone. */
void server_close(struct server *server);
/* Closes all exports but seeds; stopped(arg), maybe from within, when they have ended, or some do not in time. server-stop.c */
void server_stop(struct server *server, void (*stopped)(void *arg), void *arg);

/*
 * The listener for these options: an existing one when the address is the same, or a new one. On error a sentence:
 * off loopback it takes a key, certificates or the word insecure.
 */
int listener_find(struct server *server, const struct listener_options *options,
		  struct listener **listener, char *why, size_t why_len);
/* Ends it, if no export is left; connections are closed. */
void listener_drop(struct listener *listener);
struct export *listener_export(struct listener *listener, const char *region);
/* The first region of the group of that name. */
struct export *listener_group(struct listener *listener, const char *group);

/* ---- for service.c ---- */

/* Takes memory for a request; false: the service, if hungry is not NULL, is told by service_fed() when there is some. */
bool listener_take(struct listener *listener, struct list *hungry, uint32_t bytes, bool urgent);
void listener_give(struct listener *listener, uint32_t bytes);
/* One who was a stranger is none any more: there is room for the next. */
void listener_known(struct listener *listener, struct door_guest *guest);
/* One has gone, stranger or not. */
void listener_gone(struct listener *listener, struct door_guest *guest);

#endif
