/* SPDX-License-Identifier: GPL-2.0 */
/* control-kernel: a control command that asks the kernel, and answers with what that says. */
#ifndef REGIONFS_CONTROL_KERNEL_H
#define REGIONFS_CONTROL_KERNEL_H

#include "control.h"
#include "netlink.h"

struct control_ask {
	struct netlink_call call;	/* cmd and attrs are the caller's to fill in; REGION is added where the call has one */
	struct control_call *control;
	/* The kernel agreed; must end the control call. NULL: it ends with {}. attrs: what the answer held (strings excepted). */
	void (*then)(struct control_ask *ask);
	/* It refused: something to undo before the control call fails. Optional. */
	void (*undo)(struct control_ask *ask);
	struct netlink_attrs got;
	void *arg;
	void (*free_arg)(void *arg);	/* at the end; optional */
};

/* NULL: the call has been failed. */
struct control_ask *control_ask_new(struct control_call *call, uint8_t cmd);
/* Sends it. An error fails the control call with the kernel's sentence. Frees ask. */
void control_ask(struct control_ask *ask);
/* It won't be sent after all. */
void control_ask_free(struct control_ask *ask);

/* The dirty bytes of all regions, and the instance's own attributes (strings excepted); then must end the call. */
void control_count(struct control_call *call,
		   void (*then)(struct control_call *call, const struct netlink_attrs *instance, uint64_t dirty));

#endif
