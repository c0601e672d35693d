/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The peer backend against the export server, in one process and one loop: an array that is exported, and clients of it. For the
 * unit tests of both.
 */
#ifndef REGIONFS_TESTS_PEER_PAIR_H
#define REGIONFS_TESTS_PEER_PAIR_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend.h"
#include "conn-internal.h"
#include "dial.h"
#include "export.h"
#include "listener.h"
#include "spawner.h"
#include "tap.h"
#include "turns.h"
#include "target.h"
#define SIZE (4u << 20)

static struct server *server;
static char dir[] = "/tmp/test-peer.XXXXXX";

/* ---- what is exported: an array, whose WRITEs can be held ---- */

struct array {
	struct target target;
	uint8_t bytes[SIZE];
	bool hold, hold_all;
	bool lends;			/* a READ has asked for an address of ours, instead of a copy */
	struct list held;
	unsigned int writes;
	int claim_error, release_error;
	uint64_t short_size;
};

static struct array array;

static inline void array_do(struct backend_req *req)
{
	if (req->offset + (req->op == BACKEND_RESIZE ? 0 : req->length) > SIZE)
		req->done(req, -EINVAL);
	else if (req->op == BACKEND_READ)
		memcpy(req->data, array.bytes + req->offset, req->length), req->done(req, 0);
	else if (req->op == BACKEND_WRITE)
		memcpy(array.bytes + req->offset, req->data, req->length), req->done(req, 0);
	else if (req->op == BACKEND_DISCARD)
		memset(array.bytes + req->offset, 0, req->length), req->done(req, 0);
	else
		req->done(req, 0);
}

static inline void array_submit(struct target *target, struct backend_req *req)
{
	array.writes += req->op == BACKEND_WRITE;
	array.lends |= req->flags & BACKEND_ANY_ADDR;
	if (array.hold_all || (array.hold && req->op == BACKEND_WRITE))
		list_add(&array.held, &req->list);
	else
		array_do(req);
}

static inline void array_release_held(void)
{
	struct list *entry;

	array.hold = false;
	while ((entry = list_pop(&array.held))) {
		struct backend_req *req = list_entry(entry, struct backend_req, list);

		if (array.release_error)
			req->done(req, array.release_error);
		else
			array_do(req);
	}
}

static inline bool is_held(uint64_t offset)
{
	struct list *at;

	list_for_each(at, &array.held)
		if (list_entry(at, struct backend_req, list)->offset == offset)
			return true;
	return false;
}

static inline void array_info(struct target *target, struct wire_info *info)
{
	info->size = array.short_size ? array.short_size : SIZE;
	info->flags = WIRE_INFO_DISCARD | WIRE_INFO_RESIZE;
}

static inline void array_claim(struct target *target, void (*done)(void *, int, const char *), void *arg)
{
	done(arg, array.claim_error, "as the region's side has it");
}

static inline void array_nothing(struct target *target)
{
}

static const struct target_ops array_ops = {
	.submit = array_submit, .info = array_info, .claim = array_claim,
	.drop = array_nothing, .release = array_nothing, .close = array_nothing,
};

/* ---- the loop as a subroutine ---- */

static inline void timed_out(struct loop_timer *timer)
{
	printf("# no end in sight\n");
	exit(98);
}

/* Until somebody calls loop_stop(). */
static inline void turn(void)
{
	struct loop_timer timer = { .fire = timed_out };

	loop_timer_set(loop, &timer, 60000);
	loop_run(loop);
	loop_timer_cancel(loop, &timer);
}

/* ---- both sides' beginning and end ---- */

static inline bool pair_begin(void)
{
	if (!mkdtemp(dir) || loop_open(&loop, 0) || server_open(&server, loop))
		return false;
	array.target.ops = &array_ops;
	list_init(&array.held);
	return true;
}

/* What main() returns. */
static inline int pair_end(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}

/* ---- clients ---- */

static struct backend *opened;
static int open_error;
static char open_why[256];

static bool open_told;

static inline void on_open(struct backend_open *open, struct backend *backend, int error)
{
	open_told = true;
	opened = backend;
	open_error = error;
	snprintf(open_why, sizeof(open_why), "%s", open->why);
	loop_stop(loop);
}

struct who {
	uint64_t instance;
	uint32_t generation;
	bool read_only;
};

static inline struct backend *client_open(const char *source, struct who who)
{
	struct backend_open open = {
		.loop = loop, .instance = "test", .run_dir = dir, .credentials = dir,
		.instance_id = who.instance, .region = 1, .attach_gen = who.generation, .epoch = 1,
		.read_only = who.read_only, .done = on_open,
	};

	if (uri_parse(&open.uri, source, open.why, sizeof(open.why)))
		exit(97);
	opened = NULL;
	open_told = false;
	backend_open(&open);
	turn();
	if (open_error)
		printf("# %d: %s\n", open_error, open_why);
	return opened;
}

static inline void on_closed(void *arg)
{
	loop_stop(loop);
}

static inline void client_close(struct backend *backend)
{
	backend_close(backend, on_closed, NULL);
	turn();
}

static int last_error;

static inline void on_done(struct backend_req *req, int error)
{
	last_error = error;
	loop_stop(loop);
}

static inline void start(struct backend *backend, struct backend_req *req, enum backend_op op, uint64_t offset,
		  uint64_t length, void *data)
{
	memset(req, 0, sizeof(*req));
	req->op = op;
	req->offset = offset;
	req->length = length;
	req->data = data;
	req->loop = loop;
	req->done = on_done;
	backend_submit(backend, req);
}

static inline int request(struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length,
		   void *data)
{
	struct backend_req req;

	start(backend, &req, op, offset, length, data);
	turn();
	return last_error;
}

/* ---- exports ---- */

static inline struct export *export_array(const struct listener_options *options, bool read_only)
{
	struct listener *listener;
	struct export *export;
	char why[256] = "";

	if (listener_find(server, options, &listener, why, sizeof(why)) ||
	    export_open(&export, listener, "dir/db", &array.target, read_only))
		printf("# %s\n", why), exit(96);
	return export;
}

static inline void unexport(struct export *export)
{
	export_close(export, on_closed, NULL);
	turn();
	pass(50);
}

static inline void source_of(char *source, size_t len, const struct export *export, const char *scheme,
		      const char *options)
{
	snprintf(source, len, "%s://%s/dir/db%s", scheme, export->listener->address, options);
}

static const struct listener_options plain = { .listen = "127.0.0.1:0" };

#endif
