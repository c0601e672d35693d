/* SPDX-License-Identifier: GPL-2.0 */
/* What seeder-group-begin.c (the command) and seeder-group-left.c (the next helper) share: a group whose members are about to be seeded. */
#ifndef REGIONFS_SEEDER_GROUP_PRIVATE_H
#define REGIONFS_SEEDER_GROUP_PRIVATE_H

#include "seeder-private.h"

struct beginning {
	struct group *group;
	struct control_call *call;	/* NULL: the next helper's */
	struct region **regions;	/* of the group's names; with a reference each. NULL: not found so far, or it has ended */
	size_t nr, at;			/* which one is looked for, or opened */
	int error;
	char why[1024];
	struct state_waiter noted;
	struct loop_timer again;
};

/* A reference of group is taken. NULL: no memory. */
struct beginning *beginning_new(struct group *group);
void beginning_free(struct beginning *beginning);
/* The first one counts. */
void beginning_fail(struct beginning *beginning, int error, const char *why);
/* Seeds the i'th region, which is open; how that failed is in beginning->error. */
void beginning_start(struct beginning *beginning, size_t i);

#endif
