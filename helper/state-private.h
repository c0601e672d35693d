/* SPDX-License-Identifier: GPL-2.0 */
/* What state.c and state-write.c share. */
#ifndef REGIONFS_STATE_PRIVATE_H
#define REGIONFS_STATE_PRIVATE_H

#include <stdatomic.h>

#include "state-record.h"
#include "state.h"

#define STATE_SETTINGS_MAX 32

struct state_entry {
	struct region_info info;
	bool unlinked;
};

struct state {
	int dir_fd, lock_fd, fd;
	uint64_t instance;
	uint64_t length;		/* of the log, whole lines */
	uint64_t damaged;
	void *entries;			/* a tree by id: what was read and is not superseded */
	size_t nr_settings;
	struct {
		char *key;
		char *value;
	} setting[STATE_SETTINGS_MAX];
	/* writing */
	struct loop *loop;
	void (*snapshot)(void *arg, struct text *text);
	void (*failed)(void *arg, int error);
	void *arg;
	struct text pending;		/* lines to be written next */
	struct text writing;
	size_t written;			/* of writing */
	struct list waiting;		/* for pending */
	struct list waiting_now;	/* for writing */
	struct loop_op op;
	struct loop_timer timer;
	struct loop_work work;
	bool busy;
	bool rewrite;			/* the log has to be written anew */
	bool held;			/* not yet: state_complete() */
	bool keep;			/* the older one stays as regions.log.unrestored */
	uint64_t live;			/* bytes that the log had when it was written anew */
	atomic_bool dirty;
};

void state_drop_entry(struct state *state, uint64_t id);
void state_drop_entries(struct state *state);
int state_keep_setting(struct state *state, const char *key, const char *value);
/* At the end, without a loop. */
void state_write_rest(struct state *state);

#endif
