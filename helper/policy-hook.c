// SPDX-License-Identifier: GPL-2.0
/* policy-hook: see policy-hook.h. */
#include <inttypes.h>
#include <stdio.h>

#include "policy-hook.h"

static void hook_ended(struct hook *hook, int error, const char *why)
{
	struct policy_command *command = container_of(hook, struct policy_command, hook);

	command->done(command, error, why);
}

void policy_hook_run(struct policy_command *command, struct region *region, const struct policy *policy, enum policy_hook which,
		     const char *state, uint64_t unpushed, void (*done)(struct policy_command *command, int error, const char *why))
{
	command->done = done;
	snprintf(command->state, sizeof(command->state), "REGIONFS_STATE=%s", state);
	snprintf(command->unpushed, sizeof(command->unpushed), "REGIONFS_UNPUSHED=%" PRIu64, unpushed);
	command->env[0] = command->state;
	command->env[1] = command->unpushed;
	command->env[2] = NULL;
	hook_run(&command->hook, region, policy->hook[which], policy_hook_name(which), command->env, HOOK_TIMEOUT_MS,
		 hook_ended);
}
