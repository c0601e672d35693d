// SPDX-License-Identifier: GPL-2.0
/* source: see source.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "source.h"

#define PATIENCE_MS 5000

int source_error;

static struct loop *loop;
static char dir[] = "/tmp/regionfs-test.XXXXXX";

/* ---- the loop ---- */

struct loop *source_begin(void)
{
	if (!mkdtemp(dir) || loop_open(&loop, 0))
		exit(99);
	return loop;
}

void source_begin_in(const char *path)
{
	snprintf(dir, sizeof(dir), "%s", path);
	if (loop_open(&loop, 0))
		exit(99);
}

void source_end(void)
{
	char command[256];

	loop_close(loop);
	snprintf(command, sizeof(command), "umount -l %s/memory 2>/dev/null; rm -rf %s", dir, dir);
	if (system(command))
		printf("# %s was not removed\n", dir);
}

const char *source_dir(void)
{
	return dir;
}

static void timed_out(struct loop_timer *timer)
{
	printf("# no end in sight\n");
	exit(98);
}

/* Whoever sets the flag stops the loop, too. */
void source_turn(const bool *flag)
{
	struct loop_timer timer = { .fire = timed_out };

	loop_timer_set(loop, &timer, 60000);
	while (!*flag) {
		loop_run(loop);
		loop_again(loop);
	}
	loop_timer_cancel(loop, &timer);
}

unsigned int source_nr_open(int fd)
{
	struct stat wanted, st;
	unsigned int nr = 0;

	if (fstat(fd, &wanted))
		return 0;
	for (int i = 0; i < 256; i++)
		nr += !fstat(i, &st) && st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino;
	return nr;
}

/* ---- opening and closing ---- */

static void on_open(struct backend_open *open, struct backend *backend, int error)
{
	struct opening *opening = container_of(open, struct opening, open);

	opening->backend = backend;
	opening->done = true;
	source_error = error;
	if (error)
		printf("# %s\n", open->why);
	loop_stop(loop);
}

void opening_start(struct opening *opening, const char *uri, bool create, uint64_t size)
{
	*opening = (struct opening){
		.open = {
			.loop = loop, .instance = "test", .run_dir = dir, .create = create, .size = size,
			.done = on_open, .patience_ms = PATIENCE_MS,
		},
	};
	if (uri_parse(&opening->open.uri, uri, opening->open.why, sizeof(opening->open.why)))
		exit(99);
	backend_open(&opening->open);
}

struct backend *opening_wait(struct opening *opening)
{
	source_turn(&opening->done);
	return opening->backend;
}

void opening_start_reader(struct opening *opening, const char *uri)
{
	*opening = (struct opening){
		.open = {
			.loop = loop, .instance = "test", .run_dir = dir, .read_only = true, .done = on_open,
			.patience_ms = PATIENCE_MS,
		},
	};
	if (uri_parse(&opening->open.uri, uri, opening->open.why, sizeof(opening->open.why)))
		exit(99);
	backend_open(&opening->open);
}

struct backend *source_open_reader(const char *uri)
{
	struct opening opening;

	opening_start_reader(&opening, uri);
	return opening_wait(&opening);
}

struct backend *source_open(const char *uri, bool create, uint64_t size)
{
	struct opening opening;

	opening_start(&opening, uri, create, size);
	return opening_wait(&opening);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
	loop_stop(loop);
}

void source_close(struct backend *backend)
{
	bool closed = false;

	backend_close(backend, on_closed, &closed);
	source_turn(&closed);
}

/* ---- requests ---- */

static void on_answer(struct backend_req *req, int error)
{
	struct ask *ask = container_of(req, struct ask, req);

	ask->answered = true;
	ask->error = error;
	loop_stop(loop);
}

void ask_start_with(struct ask *ask, struct backend *backend, unsigned int flags, enum backend_op op, uint64_t offset,
		    uint64_t length, void *data)
{
	memset(ask, 0, sizeof(*ask));
	ask->req.op = op;
	ask->req.flags = flags;
	ask->req.offset = op == BACKEND_RESIZE ? 0 : offset;
	ask->req.arg = op == BACKEND_RESIZE ? offset : 0;
	ask->req.length = length;
	ask->req.data = data;
	ask->req.loop = loop;
	ask->req.done = on_answer;
	backend_submit(backend, &ask->req);
}

void stage_start(struct ask *ask, struct backend *backend, uint64_t batch, bool first, enum backend_op op, uint64_t offset,
		 uint64_t length, void *data)
{
	memset(ask, 0, sizeof(*ask));
	ask->req = (struct backend_req){
		.op = op, .flags = op == BACKEND_PUBLISH ? 0 : BACKEND_STAGED, .batch = batch, .first = first,
		.offset = op == BACKEND_RESIZE ? 0 : offset, .arg = op == BACKEND_RESIZE ? offset : 0, .length = length,
		.data = data, .loop = loop, .done = on_answer,
	};
	backend_submit(backend, &ask->req);
}

int stage(struct backend *backend, uint64_t batch, bool first, enum backend_op op, uint64_t offset, uint64_t length, void *data)
{
	struct ask ask;

	stage_start(&ask, backend, batch, first, op, offset, length, data);
	return ask_wait(&ask);
}

void ask_start(struct ask *ask, struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length, void *data)
{
	ask_start_with(ask, backend, 0, op, offset, length, data);
}

int ask_wait(struct ask *ask)
{
	source_turn(&ask->answered);
	return ask->error;
}

int ask(struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length, void *data)
{
	struct ask ask;

	ask_start(&ask, backend, op, offset, length, data);
	return ask_wait(&ask);
}

bool source_holds(struct backend *backend, uint64_t offset, uint64_t length, char value)
{
	char *data = malloc(length);
	bool same = data && !ask(backend, BACKEND_READ, offset, length, data);

	for (uint64_t i = 0; same && i < length; i++)
		same = data[i] == value;
	free(data);
	return same;
}
