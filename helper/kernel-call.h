/* SPDX-License-Identifier: GPL-2.0 */
/* One netlink command and its answer, for programs without a loop of their own. */
#ifndef REGIONFS_KERNEL_CALL_H
#define REGIONFS_KERNEL_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink.h"

struct kernel_call {
	const char *instance;		/* NULL for a dump of all */
	uint8_t cmd;
	bool dump;
	struct netlink_attrs attrs;	/* what is sent besides */
	void (*item)(void *context, const struct netlink_attrs *attrs);	/* each answer; optional */
	void *context;
	char why[512];			/* a sentence, after a failure */
};

/*
 * Waits for the end, also of a long command. 0 or a negative errno and call->why; -ENOENT also
 * when the module isn't loaded.
 */
int kernel_call(struct kernel_call *call);

#endif
