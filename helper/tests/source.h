/* SPDX-License-Identifier: GPL-2.0 */
/* source: a backend in a test: opened, asked and closed, each waited for in the loop. */
#ifndef REGIONFS_TESTS_SOURCE_H
#define REGIONFS_TESTS_SOURCE_H

#include "backend.h"

/* A request that need not be waited for at once. */
struct ask {
	struct backend_req req;
	bool answered;
	int error;
};

/* Before all else: the loop of this thread, a directory that goes at the end. Exits when it can't. */
struct loop *source_begin(void);
/* In a directory that is there already, and is somebody else's to remove. */
void source_begin_in(const char *path);
void source_end(void);
const char *source_dir(void);

/* An open that need not be waited for at once. */
struct opening {
	struct backend_open open;
	struct backend *backend;
	bool done;
};

void opening_start(struct opening *opening, const char *uri, bool create, uint64_t size);
void opening_start_reader(struct opening *opening, const char *uri);
/* NULL: source_error says why. */
struct backend *opening_wait(struct opening *opening);
/* Both at once. */
struct backend *source_open(const char *uri, bool create, uint64_t size);
struct backend *source_open_reader(const char *uri);
extern int source_error;
void source_close(struct backend *backend);

void ask_start(struct ask *ask, struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length, void *data);
void ask_start_with(struct ask *ask, struct backend *backend, unsigned int flags, enum backend_op op, uint64_t offset,
		    uint64_t length, void *data);
int ask_wait(struct ask *ask);
/* Both at once. For a RESIZE: the lowest size, the new one. */
int ask(struct backend *backend, enum backend_op op, uint64_t offset, uint64_t length, void *data);
/* A staged request of a batch, or its PUBLISH. */
void stage_start(struct ask *ask, struct backend *backend, uint64_t batch, bool first, enum backend_op op, uint64_t offset,
		 uint64_t length, void *data);
int stage(struct backend *backend, uint64_t batch, bool first, enum backend_op op, uint64_t offset, uint64_t length, void *data);
/* Do all of its bytes in this range have this value? */
bool source_holds(struct backend *backend, uint64_t offset, uint64_t length, char value);
/* How many descriptors of ours are of the same file as this one? */
unsigned int source_nr_open(int fd);
/* Runs the loop until *flag, at most for a minute: then the test is over. */
void source_turn(const bool *flag);

#endif
