/* SPDX-License-Identifier: GPL-2.0 */
/* What the instance commands ask the kernel themselves, since an instance outlives its regiond. */
#ifndef REGIONFS_CMD_KERNEL_H
#define REGIONFS_CMD_KERNEL_H

#include "cmd.h"
#include "kernel-call.h"

/*
 * All instances of this network namespace, as control.h's INSTANCE. The exit code; the failure
 * has been printed.
 */
int kernel_instances(struct cmd_context *ctx, json_t **instances);

/* The one of that name, borrowed; NULL when there is none. */
const json_t *kernel_find(const json_t *instances, const char *name);

/*
 * The operand "name" (then taken out of args), --instance, or the only one that the kernel has.
 * An exit code.
 */
int kernel_pick(struct cmd_context *ctx, char name[REGIONFS_CLIENT_NAME]);

/* Does a regiond listen for this instance? */
bool kernel_helper_runs(const char *name);

/* NAME, for those that take it besides --instance. */
#define CMD_MAYBE_NAME \
	((const struct cmd_operand[]) { { CMD_TEXT, "name", "NAME", true }, CMD_OPERANDS_END })

#endif
