/* SPDX-License-Identifier: GPL-2.0 */
/* control-policy: the options of managed regions as arguments of control commands: the keys of policy.h with '_' for '-'. */
#ifndef REGIONFS_CONTROL_POLICY_H
#define REGIONFS_CONTROL_POLICY_H

#include "control.h"
#include "policy.h"

/* For a table of commands. */
#define CONTROL_POLICY_ARGS \
	"local local_size pull_order pull_rate durability push_order push_interval max_unpushed " \
	"on_before_open on_after_pull on_before_sync on_after_sync"

/*
 * What "add" asks for: its own options over the instance's, or what is usual; *text is malloc'ed, NULL: a direct region. 0, or the call
 * has been failed.
 */
int control_policy_add(struct control_call *call, char **text);
/* The same for "leech", where what is usual in the instance does not count: *text is NULL where nothing of it is asked for. */
int control_policy_leech(struct control_call *call, char **text);
/*
 * What "set" asks for, over the region's; *text as above, NULL: nothing is to be changed. *again: it needs another backend. Refused where a
 * key can't be changed.
 */
int control_policy_set(struct control_call *call, const struct region *region, char **text, bool *again);

#endif
