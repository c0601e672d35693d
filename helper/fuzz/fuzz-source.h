/* SPDX-License-Identifier: GPL-2.0 */
/* A backend in a fuzzer: opened, asked and closed, each waited for. */
#ifndef REGIONFS_FUZZ_SOURCE_H
#define REGIONFS_FUZZ_SOURCE_H

#include "backend.h"
#include "fuzz/fuzz-dir.h"

struct fuzz_open {
	struct backend_open open;
	struct backend *backend;
	int error;
	bool over;
};

struct fuzz_ask {
	struct backend_req req;
	int error;
	bool over;
};

static inline void fuzz_opened(struct backend_open *open, struct backend *backend, int error)
{
	struct fuzz_open *one = container_of(open, struct fuzz_open, open);

	one->backend = backend;
	one->error = error;
	one->over = true;
	loop_stop(fuzz_loop);
}

/* TYPE:the directory/name. NULL: *error. */
static inline struct backend *fuzz_open(const char *type, const char *name, int *error)
{
	struct fuzz_open one = {
		.open = { .loop = fuzz_loop, .instance = "fuzz", .run_dir = fuzz_path, .done = fuzz_opened, .patience_ms = 1000 },
	};
	char uri[128];

	snprintf(uri, sizeof(uri), "%s:%s/%s", type, fuzz_path, name);
	CHECK(!uri_parse(&one.open.uri, uri, one.open.why, sizeof(one.open.why)));
	backend_open(&one.open);
	fuzz_turn(&one.over);
	*error = one.error;
	CHECK(!one.backend == !!one.error);
	return one.backend;
}

static inline void fuzz_closed(void *arg)
{
	*(bool *)arg = true;
	loop_stop(fuzz_loop);
}

static inline void fuzz_close(struct backend *backend)
{
	bool over = false;

	backend_close(backend, fuzz_closed, &over);
	fuzz_turn(&over);
}

static inline void fuzz_answer(struct backend_req *req, int error)
{
	struct fuzz_ask *ask = container_of(req, struct fuzz_ask, req);

	ask->error = error;
	ask->over = true;
	loop_stop(fuzz_loop);
}

static inline int fuzz_ask(struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length, void *data)
{
	struct fuzz_ask ask = {
		.req = { .op = op, .offset = offset, .length = length, .arg = op == BACKEND_RESIZE ? length : 0, .data = data, .loop = fuzz_loop,
			 .done = fuzz_answer },
	};

	backend_submit(backend, &ask.req);
	fuzz_turn(&ask.over);
	return ask.error;
}

#endif
