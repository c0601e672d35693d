/* SPDX-License-Identifier: GPL-2.0 */
/*
 * policy-hook: the commands of a managed region's policy, at their moments. Their environment has REGIONFS_REGION (the path),
 * REGIONFS_MOMENT ("before-open"), REGIONFS_STATE (a word) and REGIONFS_UNPUSHED (bytes). Main loop only.
 */
#ifndef REGIONFS_POLICY_HOOK_H
#define REGIONFS_POLICY_HOOK_H

#include "handover.h"
#include "policy.h"

/* The caller's, until done. */
struct policy_command {
	struct hook hook;
	/* error 0, or negative with a sentence; never from within */
	void (*done)(struct policy_command *command, int error, const char *why);
	char state[64], unpushed[64];
	char *env[3];
};

/*
 * Where the policy has no such command, done comes all the same. state: what the region is in, for the command ("opening", "syncing" ...).
 * The command has HOOK_TIMEOUT_MS; one that is late, or whose exit code isn't 0, is an error.
 */
void policy_hook_run(struct policy_command *command, struct region *region, const struct policy *policy, enum policy_hook which,
		     const char *state, uint64_t unpushed, void (*done)(struct policy_command *command, int error, const char *why));

#endif
