/* SPDX-License-Identifier: GPL-2.0 */
/*
 * region: what regiond knows of the instance's regions, by id. The kernel is the registry; this is its
 * cache, plus each region's open backend. All functions are the main loop's, except where said.
 */
#ifndef REGIONFS_REGION_H
#define REGIONFS_REGION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "netlink.h"

struct regiond;		/* regiond.h */
struct tracker;		/* tracker.h */
struct followed;	/* followed.h */

/* What the kernel and the state directory keep of a region. */
struct region_info {
	uint64_t id;
	char *path;
	char *source;		/* NULL: not opened yet, and the default one. Else it names this region's bytes and no other's */
	uint64_t size;
	uint32_t mode, uid, gid;
	uint64_t epoch, lineage;
	uint32_t flags;		/* REGIONFS_REGION_* */
	uint32_t timeout;
	uint32_t chunk;		/* wanted by the user, 0: the backend's choice */
	char *policy;		/* how it is managed, see policy.h; NULL: it is a direct one */
	bool purge;		/* rm --purge: its bytes go with it, whoever made them */
	bool discard;		/* rm --discard: so does what its source has not got */
	bool claimed;		/* it is, or is about to be, read-only because a peer writes it: target-claim.c */
	/* seeder-left.c: how far a hand-over has come, and what lets the program here go on; NULL: none */
	char *seed, *resume;
	uint32_t given;		/* REGION_GIVEN_*: what went with it, since it was handed over */
	char *handover;		/* the arguments of the command that began it, as JSON, for the next helper; NULL: none. handover.h */
	char *behind;		/* likewise, of the leech of a region that is seeded on */
};

/* The other host takes its source over: it is that host's to push to. */
#define REGION_GIVEN_SOURCE	(1u << 0)
/* Its store is in memory, and had what the source has not got: should the host be booted, nobody knows which of the source's bytes are too old. */
#define REGION_GIVEN_MEMORY	(1u << 1)
/* nobody is known to have all of its bytes: the host that it went to was given up by the operator's word ("abort --force") */
#define REGION_GIVEN_UP		(1u << 2)
/* The host was booted meanwhile: that is lost, whatever its store has got from the source since. */
#define REGION_GIVEN_LOST	(1u << 3)

enum region_state {
	REGION_NEW,		/* nothing but the id */
	REGION_OPENING,		/* asking the kernel, opening the backend */
	REGION_READY,
	REGION_FAILED,		/* the backend could not be opened: tried again by the next request, after a pause */
	REGION_CLOSING,
	REGION_GONE,
};

/* Who may want a region's writers slowed. */
enum region_rate {
	REGION_RATE_PUSHER,	/* its store fills */
	REGION_RATE_SEEDER,	/* its leecher can't keep up */
	REGION_RATES,
};

struct region {
	struct region_info info;	/* main loop only, but for the id */
	_Atomic(enum region_state) state;
	struct backend *backend;	/* while READY */
	struct regiond *regiond;
	void *export;			/* the peer server's */
	void *handover;			/* seeder's or leecher's */
	void *behind;			/* leecher's, of a region that is seeded on: handover.h */
	struct json_t *last_handover;	/* how the last one ended, or NULL */
	struct json_t *last_behind;	/* how that behind it did, while there is one in front */
	bool undoing;			/* what an earlier helper has left of its hand-over is just being ended: nobody seeds it, or aborts that, meanwhile */
	_Atomic(struct tracker *) tracker;	/* which chunks change, once it was seeded; the region's own */
	_Atomic(struct followed *) followed;	/* the same for those that follow it, once one has; the region's own */
	/* the last failure to open the backend; error 0: none. For stat. */
	int error;
	char why[256];
	/* region.c's and region-open.c's */
	atomic_uint users;		/* requests and other holders; region_get, region_put */
	atomic_uint in_flight;		/* requests in the backend */
	struct list hash;
	struct list open;
	atomic_bool used;		/* since close_one() looked */
	pthread_mutex_t lock;		/* of waiting */
	struct list waiting;		/* struct backend_req, until READY or FAILED */
	struct list openers;		/* region_open() */
	struct backend_req *destroy;	/* the DESTROY request */
	bool removing;			/* it is on its way out for that: nothing keeps it any more */
	struct loop_task kick;
	atomic_bool kicked;
	atomic_bool forgotten;
	bool unlinked;
	uint32_t writers;		/* open files that may write, as the kernel told last */
	bool mirrored;			/* the state directory has heard of it */
	bool changed;			/* its source was changed by others: the kernel is to hear of that when it is ready */
	bool refreshing, refresh_again;	/* events.c's: the kernel is being asked about it */
	_Atomic uint64_t size;		/* as WRITE and RESIZE have made it; info.size follows */
	_Atomic uint64_t size_at;	/* loop_now_ns() when a request began to change it last */
	atomic_uint size_changes, size_mirrored;	/* region-size.c's */
	struct loop_timer size_timer;
	bool local_told;		/* the kernel knows a file of its bytes */
	bool stale_source;		/* the source changed while the backend was being opened */
	atomic_bool opened_read_only;	/* the backend that is open was opened for reading alone */
	atomic_bool broken;		/* the backend that is open is dead */
	atomic_bool write_wanted;	/* a request that changes bytes has come: the next one shall be opened for writing */
	struct region_job *job;
	struct loop_timer retry;
	unsigned int tries;
	uint64_t retry_at;		/* FAILED: loop_now_ns() from which a request opens it again */
	uint64_t give_up_at;		/* OPENING: the region's deadline, 0: none */
	struct loop_timer managed_retry;
	unsigned int managed_tries;
	bool held;			/* a managed one: nobody pushes until its store is known */
	uint64_t write_rates[REGION_RATES];	/* what its writers are to be slowed to, by whom; 0: not by that one */
	uint64_t write_rate;		/* the lowest of these: what the kernel is told */
	bool rate_telling;		/* the kernel is being told, or will be again */
};

struct regions;

/* A request that followed_hold() has kept may go on. Any thread. */
void region_start_again(struct backend_req *req);

int regions_open(struct regions **regions, struct regiond *regiond);
void regions_close(struct regions *regions);

/*
 * Any thread. Gives the request to the region's backend, opening that first when it must; req->done is
 * called in the end. An unknown id is asked for in the kernel. Demand and order are the backend's to honour.
 */
void region_submit(struct regions *regions, uint64_t id, struct backend_req *req);

/* NULL when it isn't known (yet). Takes a reference. */
struct region *region_find(struct regions *regions, uint64_t id);
struct region *region_find_path(struct regions *regions, const char *path);
struct region *region_get(struct region *region);
/* Any thread. */
void region_put(struct region *region);
/* fn for each, in no order; stops when it returns non-zero, and returns that. fn must not add or remove. */
int region_each(struct regions *regions, int (*fn)(struct region *region, void *arg), void *arg);

/* ready(region, error, arg), maybe from within: the region's backend is open, or failed to (region->why). */
void region_open(struct region *region, void (*ready)(struct region *region, int error, void *arg), void *arg);

/* Gives up waiting: ready isn't called. false: it has been. */
bool region_open_cancel(struct region *region, void (*ready)(struct region *region, int error, void *arg), void *arg);

/* As region_open(), with one that takes what changes bytes, though the region be read-only for programs here. */
void region_open_writable(struct region *region, void (*ready)(struct region *region, int error, void *arg), void *arg);

/* At the end of the process: closes its backend, if that is idle. closed(region, arg), maybe from within. */
void region_shutdown(struct region *region, void (*closed)(struct region *region, void *arg), void *arg);

/* The kernel or a control command tells something new of a region; makes it known when it wasn't. Mirrored to state. */
struct region *region_update(struct regions *regions, const struct netlink_attrs *attrs);
/* Its source changed (leech, hand-over): closes the backend after its last request; the next request opens the new one. */
int region_set_source(struct region *region, const char *source);
/* chunk is the helper's own: the kernel doesn't know of it. */
void region_set_chunk(struct region *region, uint32_t chunk);
/*
 * policy: a text of policy.h, copied; NULL: a direct region. The state log is told. again: the backend that is open, if there is one, is
 * closed after its last request, and the next request, or region_open(), opens the one that this asks for.
 */
int region_set_policy(struct region *region, const char *policy, bool again);
/* See managed_source_changed(). */
void region_source_changed(struct region *region, uint64_t offset, uint64_t length);
/* What a region is that nobody has said anything of: the instance's policy, or NULL. malloc'ed. */
char *region_usual_policy(const struct regiond *regiond);
/* It is another host's, or may be, for all that this one knows: since it was handed over, and until it is back in service. */
bool region_is_handed(const struct region *region);
/* Its managed part: all of it, or the local one of one that is on its way here; NULL: there is none, or it is not open. */
struct managed *region_managed(const struct region *region);
/* Does it have, in a store in memory, what its source has not got? */
bool region_is_behind_in_memory(struct region *region);
/* That was in memory, and is lost with it, while another host may ask for it: written down until it is back in service. Again and again is the same. */
void region_lost(struct region *region);
/* Its source has all that is here. */
void region_drained(struct region *region);
/*
 * May, and can, what its source has not got be pushed from here? 1: yes. 0: there is nothing of that kind, or it stays on a disk. -EBUSY: it would
 * be lost with the instance; why.
 */
int region_may_push(struct region *region, char *why, size_t len);
/* That may have changed: what is managed neither pushes nor holds its source then, and does again. */
void region_tell_handed(struct region *region);
/* Managed regions are open for as long as they are there, since pulling and pushing need no program that asks. */
void region_open_managed(struct region *region);
/* All of them, at the start. */
void regions_open_managed(struct regions *regions);
/* The store of a managed one is open, and in the order of what is pushed, or can't be opened. */
void region_store_known(struct region *region);
/* Bytes that its source has not got, of a managed one that is open; else 0. */
uint64_t region_unpushed(struct region *region);
/* Of all of them; nr: of how many, or NULL. */
uint64_t regions_unpushed(struct regions *regions, unsigned int *nr);
/* Of the files of its tracker. */
void region_tracker_path(const struct region *region, char *path, size_t len);
/* Bytes a second, 0: as fast as they like. The lowest of what all want counts. */
void region_limit_writers(struct region *region, enum region_rate who, uint64_t bytes_per_second);
/* The state log is told; who needs it on the disk waits for that. */
void region_set_claimed(struct region *region, bool claimed);
/* text: the arguments of a hand-over's command, or NULL; taken. The state log is told. */
void region_set_handover(struct region *region, char *text);
/* Its name is gone; open files may still use it. */
void region_unlinked(struct region *region);
/* Forget it and its state; its bytes are left alone. */
void region_forget(struct region *region);
/* After a gap in the events, or at start: everything that the kernel has. done may be NULL. */
void regions_dump(struct regions *regions, void (*done)(void *arg, int error), void *arg);

#endif
