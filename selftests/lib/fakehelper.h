/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A helper that does what a test tells it: a forked process which speaks the data plane, and holds, fails,
 * or answers each request as rules and orders say. What it did stands in a log that both can see. Its
 * regions' bytes are files on a tmpfs, so that they outlive any number of its deaths.
 */
#ifndef SELFTESTS_FAKEHELPER_H
#define SELFTESTS_FAKEHELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/regionfs.h>

#define FH_DEPTH	16		/* tags per queue */
#define FH_TAGS_MAX	64
#define FH_REQUEST	(1u << 20)
#define FH_LOG		16384		/* records kept; older ones are overwritten */
#define FH_RULES	16
#define FH_ANY		(-1)		/* any operation */

enum fh_how {
	FH_APPLY,	/* do it and answer (the default) */
	FH_HOLD,	/* keep it until fh_release(); a READ's bytes are fetched at once */
	FH_ERROR,	/* answer with arg, a negative errno */
	FH_DIE,		/* SIGKILL before anything was done */
	FH_APPLY_DIE,	/* do it, then SIGKILL before the answer */
	FH_PRETEND,	/* answer 0 without doing it; a READ gives what the buffer holds */
	FH_ZERO,	/* READ: answer with addr 0 */
	FH_ANY_ADDR,	/* READ: answer from an address that is not the tag's buffer */
	FH_BAD_COOKIE,	/* fh_release only: a wrong cookie; the result is the kernel's answer, the tag stays held */
	FH_COMMIT,	/* fh_release only: do it, then COMMIT and FETCH apart; the result is COMMIT's */
};

enum fh_state { FH_NONE, FH_TAKEN, FH_HELD, FH_ANSWERED };

/* One request that a helper was handed. */
struct fh_rec {
	struct regionfs_io_desc desc;
	uint32_t state;		/* enum fh_state */
	int32_t error;		/* that it was answered with */
	uint16_t tag;
	uint16_t life;		/* which helper: 1 is the first */
};

struct fh_rule {
	uint32_t active;
	int32_t op;		/* enum regionfs_op or FH_ANY */
	uint64_t region;	/* 0: any */
	uint64_t offset, length;	/* length 0: anywhere */
	int32_t how, arg;
	int32_t left;		/* how many times more; -1: always */
};

struct fh_shared {
	uint32_t event;		/* futex: grows whenever the log changes */
	uint32_t nr_log;
	uint32_t ready;		/* attached: 1; failed: the negative errno */
	uint32_t attach_gen;
	uint64_t features;
	uint64_t instance_id;
	uint64_t bytes[8];	/* handed over, by op */
	uint64_t count[8];	/* requests, by op */
	struct fh_rule rule[FH_RULES];
	struct fh_rec log[FH_LOG];
};

struct fh {
	char instance[REGIONFS_NAME_MAX + 1];
	char dir[64];		/* the backing files, named by region id */
	struct fh_shared *s;
	char *buf;		/* the tags' buffers, shared: FH_REQUEST each */
	char *store_buf;	/* what fh_store() puts, shared: FH_REQUEST */
	unsigned int queues;
	uint32_t request;	/* the largest that it asks for; FH_REQUEST at first */
	pid_t pid;		/* 0: none is running */
	int sock;
	uint16_t life;
};

struct fh *fh_new(const char *instance);
void fh_free(struct fh *h);		/* kills it, and removes the backing files */
int fh_start(struct fh *h);		/* 0 or -errno of the attach */
void fh_kill(struct fh *h);		/* SIGKILL */
int fh_stop(struct fh *h);		/* in good order; its exit status */
int fh_wait_dead(struct fh *h, int ms);	/* that a rule has killed it: 0 or -ETIMEDOUT */

/* Rules are tried in their order; the first that matches counts. */
struct fh_rule *fh_rule(struct fh *h, int op, uint64_t region, uint64_t offset, uint64_t length,
			enum fh_how how, int arg, int times);
void fh_clear(struct fh *h);		/* all rules */

/* The log: a place in it, to start looking from. */
uint32_t fh_mark(struct fh *h);
struct fh_rec *fh_at(struct fh *h, uint32_t place);
/* Waits for a request that overlaps the range to reach state; gives its place, or -ETIMEDOUT. */
long fh_wait(struct fh *h, uint32_t from, int op, uint64_t region, uint64_t offset, uint64_t length,
	     enum fh_state state, int ms);
/* How many requests (bytes of them) that overlap the range have come since. */
unsigned int fh_seen(struct fh *h, uint32_t from, int op, uint64_t region, uint64_t offset,
		     uint64_t length, uint64_t *bytes);
char *fh_buf(struct fh *h, long place);	/* the tag's buffer of a held request */

/* Orders to the running helper; -ETIMEDOUT when it does not react. */
long fh_release(struct fh *h, long place, enum fh_how how, int arg);
long fh_release_all(struct fh *h);	/* all held ones, FH_APPLY */
long fh_token(struct fh *h, uint64_t region, uint64_t *token);
/* STORE of h->store_buf; bytes stored or -errno. */
long fh_store(struct fh *h, uint64_t region, uint64_t offset, uint32_t length, uint64_t token,
	      uint64_t epoch);
/* LOCAL: the region's bytes are in the file at path; NULL: in its backing file; "": no longer in a file. 0 or -errno. */
long fh_local(struct fh *h, uint64_t region, uint64_t epoch, const char *path);
/* The same, where the map in another file says so; flags are of open() for that one. */
long fh_local_map(struct fh *h, uint64_t region, uint64_t epoch, const char *path, const char *map, int flags);
/*
 * The helper itself reads ('r'), writes ('w'), loads ('m') or stores ('s') through a mapping, or fsyncs ('f') a path: 0, -errno, or -EFAULT for SIGBUS;
 * -ETIMEDOUT when it hangs: then nothing but fh_kill() will do.
 */
long fh_touch(struct fh *h, const char *path, char what);

/*
 * The n-th allocation that the helper comes to within io_uring_enter() from now on fails (failnth.h); 0: none any more, and the result is 1 when one has. Its
 * own work on the backing files is none of this.
 */
long fh_fail(struct fh *h, unsigned int n);

/* The backing bytes, looked at from outside. */
void fh_pread(struct fh *h, uint64_t region, void *buf, size_t len, uint64_t offset);
void fh_pwrite(struct fh *h, uint64_t region, const void *buf, size_t len, uint64_t offset);
uint64_t fh_size(struct fh *h, uint64_t region);

#endif
