/* SPDX-License-Identifier: GPL-2.0 */
/*
 * backend: where the bytes of a region really live. A backend is one file in backends/, a struct
 * backend_ops there, and one line in the table in backend.c.
 *
 * Threads. A backend instance belongs to one region. It is opened and closed on its home loop (backend->loop,
 * regiond's main thread), but requests are submitted by any loop's thread, several at once. Each names its
 * loop; its callback comes there. backend_done() takes care of that from any thread. A backend that works
 * on its home loop alone (connections) moves the request there with loop_post().
 *
 * Requests. The caller owns struct backend_req and keeps it, and its data, until the callback. The callback may come
 * from within backend_submit(): don't hold a lock there, and don't touch the request after it.
 * Callers may send any offset and length: backend_submit() splits a READ or WRITE that is longer than caps.max_request, so a backend
 * never sees one; a backend that needs alignment (caps.align) reads, modifies and writes itself. No two WRITE, DISCARD, RESIZE that overlap are under way at once. A READ is ordered by
 * nobody: the kernel's is begun only while none of them is under way, but may be overtaken by one, and pulls, peers and seeders
 * read when they like. Such a READ may be answered with the bytes before or after, or some of each; what counts is that it stands
 * in the way of nothing: once one of the three is answered, every READ and WRITE that is submitted after it finds what it has left.
 *
 * Errors are negative errno; backend_error() adds a sentence for people. A backend retries what it can
 * (a reconnect), within its own bounds, and only then answers with an error; an answer of -EIO means that
 * the program sees it.
 */
#ifndef REGIONFS_BACKEND_H
#define REGIONFS_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "loop.h"

struct backend;
struct backend_req;
struct journal;
struct region;

/* ---- sources: SCHEME:REST[?KEY=VALUE&...] and SCHEME://[USER@]HOST[:PORT]/PATH[?KEY=VALUE&...] ---- */

#define URI_OPTIONS_MAX 32

struct uri {
	char *text;		/* as given: what is shown and stored; never a secret */
	char *scheme;		/* lower case; "peer+unix" and the like are schemes of their own */
	char *user;		/* or NULL; with a password the URI is refused */
	char *host;		/* or NULL; an IPv6 address without its brackets */
	uint16_t port;		/* 0: none given */
	char *path;		/* percent-decoded; without // this is REST, else it starts with / or is "" */
	unsigned int nr_options;
	struct {
		char *key;
		char *value;	/* "" for a key alone */
	} option[URI_OPTIONS_MAX];
};

/* On error why (if not NULL) holds a sentence. */
int uri_parse(struct uri *uri, const char *text, char *why, size_t why_len);
void uri_free(struct uri *uri);
/* NULL: not given */
const char *uri_option(const struct uri *uri, const char *key);
/* Percent-encodes what can't stand in a path; malloc'ed. */
char *uri_encode(const char *path);

/* ---- capabilities, filled in by open ---- */

enum backend_fence {
	FENCE_NONE,		/* a dead helper's writes may land late */
	FENCE_PROCESS,		/* they end with its process: nothing is in flight after it */
	FENCE_LOCK,		/* open waits until they have drained */
	FENCE_GENERATION,	/* the other side refuses an older attach generation */
};

enum backend_durability {
	DURABLE_NEVER,		/* memory: a reboot loses it */
	DURABLE_SYNC,		/* after SYNC */
	DURABLE_WRITE,		/* each WRITE is durable when it is answered */
};

struct backend_caps {
	uint64_t size;		/* of the source now */
	uint32_t chunk;		/* bytes, a power of two: what is best moved at once */
	uint32_t align;		/* 1, or what offset, length and memory should be aligned to to save copies */
	uint32_t max_request;	/* bytes, the longest READ and WRITE */
	uint32_t parallel;	/* requests that make sense at once; 0: no limit known */
	bool ordered;		/* answers requests in the order that they came in */
	bool fixed_size;	/* RESIZE is refused */
	bool read_only;		/* the source can't be written: WRITE gives -EROFS */
	bool publish;		/* takes staged requests and PUBLISH */
	uint64_t publish_max;	/* bytes, as much as a batch should have: while it is done, others wait for what it changes; 0: no bound */
	bool abortable;		/* may be closed with requests under way: they fail with -ESHUTDOWN */
	bool version;		/* knows BACKEND_VERSION */
	bool local;		/* lives on this host: there is nothing to hand over to another one */
	/* for the kernel to read itself (REGIONFS_IO_LOCAL): a file that is the source, byte for byte, on a tmpfs; -1: none; */
	int local_fd;
	int local_map;			/* or one that is so where this map says; -1: all of it */
	enum backend_fence fence;
	enum backend_durability durability;
};

/* ---- requests ---- */

enum backend_op {
	BACKEND_READ,		/* length bytes from offset into data; past the end of the source: zeroes */
	BACKEND_WRITE,		/* seen by every later READ, also of the next helper's, when answered */
	BACKEND_SYNC,		/* what was answered before is durable when answered */
	BACKEND_DISCARD,	/* offset, length: reads zero afterwards */
	BACKEND_RESIZE,		/* the size is now length; arg is the lowest on the way: bytes from there on read zero */
	/* caps.publish: all that was staged in the request's batch is seen at once, and durable, when answered. See BACKEND_STAGED. */
	BACKEND_PUBLISH,
	BACKEND_DESTROY,	/* delete the bytes. Asked only for regions made through the mount; last request */
	BACKEND_DROP,		/* caps.publish: a batch that is staged, and not published, is dropped: nobody will publish it */
	/*
	 * caps.version: which state its bytes and its size are in, as text into data, which has room for BACKEND_VERSION_MAX bytes. The same text as
	 * an earlier one, of whatever helper, host or boot: nobody has changed anything in between. Another one: somebody may have, the caller as
	 * well; so who writes asks again when that is durable. What is changed while it is asked may be in it or not.
	 */
	BACKEND_VERSION,
	/*
	 * Where bytes are that need not be zero: offset and length become the first run of them from offset on, which may be longer than there is any use for. -ENXIO: there are
	 * none. -EOPNOTSUPP: that can't be told. What is in no run is zero; but see BACKEND_HERE.
	 */
	BACKEND_DATA,
	BACKEND_OPS,
};

#define BACKEND_DEMAND		(1u << 0)	/* a program waits for it */
#define BACKEND_BULK		(1u << 1)	/* readahead, pull, seed: must not delay demand */
#define BACKEND_REPEATED	(1u << 2)	/* may have been done by an earlier helper */
/* READ: where all is zero, data may be set to NULL instead of being filled. */
#define BACKEND_ZERO_NULL	(1u << 3)
/*
 * READ: instead of filling data, data may be set to bytes of the backend's own, that stay until the source changes there. It may
 * change at any time, and then touching them may be a SIGBUS: only for who has the kernel copy them, to whom that is an EFAULT.
 */
#define BACKEND_ANY_ADDR	(1u << 4)

/*
 * caps.publish, WRITE, DISCARD, RESIZE: not to be seen before the PUBLISH of its batch, and then all of the batch or nothing, whatever dies
 * when. A batch has one RESIZE at most, which begins it (else -EINVAL). There is one batch at a time: the first request of another one drops the one
 * that was not published. PUBLISH again of the one that was published last is answered 0; of one that is not known (the source was opened anew since) -ESTALE, and
 * so is a staged request of a batch whose beginning was lost so: it is staged again from its start, under a new number.
 */
#define BACKEND_STAGED		(1u << 5)

/* DATA: what would have to come from elsewhere, whatever it is, counts as no bytes: for who looks for bytes that are here. */
#define BACKEND_HERE		(1u << 7)
/* serve.c's: a READ of what is seeded, in a struct serve_req, that the peer may have no more use for: see leech_drop(). */
#define BACKEND_PEER		(1u << 8)

/* region.c's: it was given to a second backend, since the first one was dead. */
#define BACKEND_AGAIN		(1u << 6)

/* What a PUBLISH has changed: for who has to forget what he knows of it. */
struct backend_published {
	uint64_t offset, length;	/* one range that covers all; resized: to the end, however far that was */
	uint64_t size;			/* of the source, if resized; else it is at least so much */
	bool resized;
};

#define BACKEND_VERSION_MAX 256
#define BACKEND_REQ_PRIVATE 320

struct backend_req {
	enum backend_op op;
	unsigned int flags;
	uint64_t offset;
	uint64_t length;
	uint64_t arg;
	uint64_t batch;		/* BACKEND_STAGED and PUBLISH: which one; random, never 0 */
	bool first;		/* BACKEND_STAGED: it begins the batch, and was answered before the others are submitted */
	struct backend_published published;	/* out, of PUBLISH; where it fails it may have been done nevertheless */
	void *data;
	uint32_t attach_gen;	/* of the helper that carries it, for FENCE_GENERATION */
	uint64_t epoch;
	uint64_t id;		/* unique among this helper's, for idempotence and traces; 0: none */
	struct loop *loop;	/* where done is called */
	void (*done)(struct backend_req *req, int error);
	/* of region_submit(), until done */
	struct region *region;
	void (*then)(struct backend_req *req, int error);
	/* of the backend while it has the request */
	struct backend *backend;
	struct list list;
	struct loop_task task;	/* to move it between threads */
	int error;
	bool entered;		/* journal-gate.c's: it counts as being at the source */
	_Alignas(16) uint8_t private[BACKEND_REQ_PRIVATE];
};

/* A backend's own part of the request, checked for size at compile time. */
#define backend_private(req, type) \
	((type *)((void)sizeof(char[sizeof(type) <= BACKEND_REQ_PRIVATE ? 1 : -1]), (void *)(req)->private))

static inline struct backend_req *backend_req_of(void *private)
{
	return (struct backend_req *)((char *)private - offsetof(struct backend_req, private));
}

/* ---- backends ---- */

/* What a backend may know of the region that it is opened for. */
struct backend_open {
	struct uri uri;		/* moved into the backend */
	struct loop *loop;	/* home */
	const char *instance;	/* the instance's name */
	const char *run_dir;	/* /run/regionfs/NAME */
	const char *state_dir;	/* /var/lib/regionfs/NAME; NULL: none */
	const char *credentials;	/* directory of named credentials */
	uint64_t instance_id;
	uint64_t region;	/* 0: none, as for a leecher's source */
	struct region *owner;	/* whose it is, and what opens a part of it that is managed; NULL: nobody's. adopter.h */
	const struct adopter *adopter;
	uint32_t attach_gen;
	uint64_t epoch;
	uint64_t size;		/* of the region as the kernel knows it; for a source that does not exist yet */
	uint32_t chunk;		/* wanted; 0: the backend's choice */
	uint32_t patience_ms;	/* for another user of the source to go, e.g. a dead helper's last writes; 0: 15 s */
	bool create;		/* a source that doesn't exist is made; else -ENOENT */
	bool read_only;		/* writes will not come */
	/*
	 * Another host has had it: caps.fence, also of one that is opened to read, is NONE where that one's late writes can't be kept away, and to write it is not
	 * opened then (-EPERM).
	 */
	bool fenced;
	/* called on home, with a backend that is open, or an error and why */
	void (*done)(struct backend_open *open, struct backend *backend, int error);
	char why[256];
	/* backend.c's */
	int error;
	bool replaying;		/* who wants to read has found a batch that has to be done first: opened to write, it will be closed and opened again */
	bool replayed_it;
	uint32_t readers_patience_ms;
	uint64_t replay_until;	/* loop_now_ns(): so long who has the source may still do it */
	struct backend_published replayed;
};

#define BACKEND_IDENTITY 4

struct backend_ops {
	const char *scheme;	/* further schemes of the same kind have a line of their own in the table */
	const char *summary;	/* "memory:SIZE: files on a tmpfs", for regiond --help and docs */
	size_t size;		/* of the backend's own struct, which starts with struct backend */
	bool local;		/* its sources are on this host: opening one to look at it costs little, and waits for nobody */
	/* Checks the URI alone: on error a sentence in why. Optional. */
	int (*check)(const struct uri *uri, char *why, size_t why_len);
	/* Ends with backend_opened(), at once or later. backend is zeroed, and has ops, uri, loop and open set. */
	void (*open)(struct backend *backend);
	/* No request is under way. Ends with backend_closed(), at once or later. */
	void (*close)(struct backend *backend);
	void (*submit)(struct backend *backend, struct backend_req *req);
	/* Optional; the source of the file NAME made in a mount whose default source is base: default BASE/NAME. malloc'ed. */
	char *(*child)(const struct uri *base, const char *name);
	/* Optional; the source names no bytes by itself ("memory:64M"), so that child() is asked also for a region that is added. */
	bool (*generic)(const struct uri *uri);
	/*
	 * Optional; where the journal of an open backend is (journal.h), which then takes staged requests and PUBLISH: the backend itself never
	 * sees them. In the pool; malloc'ed, NULL: it can't have one.
	 */
	char *(*journal)(const struct backend *backend);
	/*
	 * Optional, with journal; in the pool: room for what will be written there, though nothing changes that can be seen. A source that can't
	 * tell says 0.
	 */
	int (*reserve)(const struct backend *backend, uint64_t offset, uint64_t length);
	/*
	 * With journal; in the pool: what tells this source from another one that has come in its place, also after a reboot. Of devices that
	 * can't be told, there is no journal.
	 */
	int (*identity)(const struct backend *backend, uint64_t identity[BACKEND_IDENTITY]);
	/* Optional, with journal; in the pool: how many bytes of room a WRITE there would take, of the file system that the journal is on. */
	uint64_t (*missing)(const struct backend *backend, uint64_t offset, uint64_t length);
	/* Optional, in the pool: BACKEND_DATA. */
	int (*data)(const struct backend *backend, uint64_t from, uint64_t *start, uint64_t *end);
	bool finds_data;	/* its submit does that */
	bool one_file;		/* how long a source can be is how long a file beside it can be */
};

struct backend {
	const struct backend_ops *ops;
	struct uri uri;
	struct loop *loop;
	struct backend_caps caps;	/* set before backend_opened(); then only caps.size changes: see backend_size() */
	struct backend_open *open;	/* until opened */
	struct journal *journal;	/* NULL: it has none */
	/*
	 * What a batch that was decided earlier has changed when it was opened; length 0: nothing. replayed_before: it was done by the earlier one, who
	 * may have died before anybody heard of it; the size is the source's.
	 */
	struct backend_published replayed;
	bool replayed_before;
	atomic_bool dead;		/* set before it fails a request: it will do no better, but another one, opened now, may */
	atomic_bool lost;		/* and what was answered before, and not synced, is gone: who asks for a SYNC has to hear that */
	void (*closed)(void *arg);
	void *closed_arg;
	char *why;			/* the last error's sentence, or NULL; guarded */
};

/* All of them, ended by NULL. */
extern const struct backend_ops *const backend_table[];
const struct backend_ops *backend_find(const char *scheme);
/* Is this a source that can be opened? Parses it, looks its scheme up and has it checked. */
int backend_check(const char *source, char *why, size_t why_len);
/*
 * The source for a file NAME made through the mount, with the option "owned" added: its bytes are deleted with
 * the region. malloc'ed, NULL when base is wrong or out of memory.
 */
char *backend_child(const char *base, const char *name);
/* Does it need backend_child() to name any bytes? */
bool backend_generic(const char *source);
/* Is it on this host? */
bool backend_local(const char *source);
/* Was it made by backend_child()? */
bool backend_owned(const char *source);
/* The same source, which is not so. malloc'ed, NULL: no memory. */
char *backend_disown(const char *source);

#define BACKEND_PUBLISH_MAX (256ULL << 20)

/* open has uri and the rest filled in; done is called always, maybe from within. */
void backend_open(struct backend_open *open);
/* In the thread of req->loop. */
void backend_submit(struct backend *backend, struct backend_req *req);
/* On home. Frees the backend, then calls closed. */
void backend_close(struct backend *backend, void (*closed)(void *arg), void *arg);
/* Is this an error, of opening or of a request, that goes by itself? Then whoever waits goes on waiting, up to the region's deadline. Any thread. */
bool backend_is_temporary(int error);
/* The last error's sentence into buf ("" when there is none). Any thread. */
void backend_why(struct backend *backend, char *buf, size_t len);

/* Any thread. RESIZE and WRITE keep it up to date; below a RESIZE's lowest size there may be WRITEs at the same time. */
static inline uint64_t backend_size(const struct backend *backend)
{
	return __atomic_load_n(&backend->caps.size, __ATOMIC_SEQ_CST);
}

/* ---- for backends ---- */

static inline void backend_set_size(struct backend *backend, uint64_t size)
{
	__atomic_store_n(&backend->caps.size, size, __ATOMIC_SEQ_CST);
}

/* A WRITE has ended at end. */
static inline void backend_grow(struct backend *backend, uint64_t end)
{
	uint64_t size = backend_size(backend);

	while (size < end && !__atomic_compare_exchange_n(&backend->caps.size, &size, end, true, __ATOMIC_SEQ_CST,
							  __ATOMIC_SEQ_CST))
		;
}

/* error 0, or a negative errno (then the backend is freed; open->why was filled in by backend_error()). On home. */
void backend_opened(struct backend *backend, int error);
/* Frees the backend. On home. */
void backend_closed(struct backend *backend);
/* The request is done: calls back on its loop; from any thread. */
void backend_done(struct backend_req *req, int error);
/* journal*.c's: past the journal. */
void backend_submit_source(struct backend *backend, struct backend_req *req);
/* Notes a sentence about an error for people, and returns error. Any thread. */
int backend_error(struct backend *backend, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Of one that is not opened because of open->fenced: notes why. -EPERM */
int backend_unfenced(struct backend *backend);

#endif
