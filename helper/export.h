/* SPDX-License-Identifier: GPL-2.0 */
/*
 * export: a region, or a source, that peers may use by a name, and the sessions that do. Here is decided who
 * writes: one client at a time, and of that client only its newest helper.
 *
 * A session's slot holds one connection. When another comes for the slot, the old one is closed, and the new one waits until the
 * requests that the old one brought have ended: none of them can land after what follows.
 */
#ifndef REGIONFS_EXPORT_H
#define REGIONFS_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "access.h"
#include "list.h"
#include "loop.h"
#include "service.h"
#include "target.h"
#include "wire.h"

#define EXPORT_SESSIONS		64u
/* A session without connections is kept so long: its client may come back, and holds what it held. */
#define EXPORT_GRACE_MS		30000u

struct export;

/* What migration adds; seeder.c. */
struct export_seed_ops {
	/* May this session have the region? 0, or a negative errno and why. */
	int (*open)(void *arg, struct export_session *session, char *why, size_t why_len);
	/* TRACK .. STATUS; ends req, at once or later. */
	void (*message)(void *arg, struct serve_req *req, const uint8_t *body, size_t len);
	/* A READ of a session with FOLLOW: takes it, or says false: then it is the target's. */
	bool (*read)(void *arg, struct export_session *session, struct backend_req *req);
	/* Are there bytes to be read? */
	bool (*reads)(void *arg);
	/*
	 * READs whose connection has gone are waited for: those that wait for bytes from elsewhere may end. Of this session's slot; session NULL: all.
	 */
	void (*drop)(void *arg, const struct export_session *session, unsigned int slot);
	/* The session is gone for good. */
	void (*gone)(void *arg, struct export_session *session);
};

struct export_session {
	struct list list;
	struct export *export;
	uint8_t id[16];
	uint8_t client[16];
	char name[WIRE_NAME_MAX + 1];
	uint32_t flags;			/* WIRE_OPEN_* */
	uint32_t generation;
	uint64_t epoch;
	bool fenced;			/* a newer helper of this client has come */
	struct service *slots[WIRE_SLOTS_MAX];
	uint32_t incarnations[WIRE_SLOTS_MAX];
	unsigned int busy[WIRE_SLOTS_MAX];	/* requests under way that came by this slot */
	struct loop_timer timer;	/* grace */
};

struct export {
	struct listener *listener;
	struct list list;		/* listener's */
	char *name;
	struct target *target;
	bool read_only;
	struct access access;
	bool closing;
	struct list sessions;
	unsigned int nr_sessions;
	struct list opening;		/* services whose OPEN waits for requests to end */
	struct export_session *writer;
	bool claiming, claimed;
	bool replaced;			/* the writer, and what the one before had staged is still there */
	uint64_t read_bytes;		/* sent in answers to READs, */
	uint64_t wire_bytes;		/* and how many that were on the wire */
	const struct export_seed_ops *seed;	/* NULL: no migration */
	void *seed_arg;
	const char *group;		/* it is seeded with others: their name, the seeder's; NULL: it is not */
	bool leads;			/* it is the first of them, whom OPEN finds by that name */
	char why[256];			/* the refusal of an OPEN, while that is looked at */
	void (*closed)(void *arg);
	void *closed_arg;
	struct loop_task settle;
	bool settling;
};

/* Takes target. -EEXIST when the listener has one of that name. */
int export_open(struct export **export, struct listener *listener, const char *name,
		struct target *target, bool read_only);
/* Closes all connections, waits for what is under way, then frees it and calls closed(arg). */
void export_close(struct export *export, void (*closed)(void *arg), void *arg);

/* ---- for service.c and serve.c ---- */

/* OPEN; ends req, at once or later. */
void export_attach(struct export *export, struct service *service, struct serve_req *req,
		   const struct wire_open *open);
/* The service's connection has ended. */
void export_detach(struct service *service);
/* CLOSE: the session won't come back. */
void export_leave(struct export_session *session);
/* May a request that changes bytes go on? 0, -EROFS, -ESTALE. */
int export_fence(struct export_session *session, const struct wire_head *head);
/*
 * May whoever is connected there do that, as its rules have it? OPEN's flags as actions; 0, or -EACCES (-EROFS: it may read, but asks to write)
 * and a sentence, which is logged, too.
 */
int export_allows(const struct export *export, const struct service *service, uint32_t flags, char *why, size_t why_len);
/* All that it may do. */
unsigned int export_access(const struct export *export, const struct service *service);
/* Does it have a connection just now? */
bool export_connected(const struct export_session *session);
/* A request of the session's slot begins and ends. */
void export_busy(struct serve_req *req);
void export_idle(struct export_session *session, uint8_t slot);
void export_info(struct export *export, struct wire_info *info);

#endif
