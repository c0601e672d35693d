// SPDX-License-Identifier: GPL-2.0
/* control-policy: see control-policy.h. Values are as people write them; numbers are bytes, and ms. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "control-policy.h"
#include "profile.h"
#include "region.h"
#include "regiond.h"
#include "store-place.h"

/* "local-size" -> "local_size" */
static const char *arg_name(const char *key, char name[32])
{
	snprintf(name, 32, "%s", key);
	for (char *at = name; *at; at++)
		if (*at == '-')
			*at = '_';
	return name;
}

/* Is one of them there? */
static bool is_given(struct control_call *call)
{
	char name[32];

	for (size_t i = 0; policy_keys[i]; i++)
		if (control_has(call, arg_name(policy_keys[i], name)))
			return true;
	return false;
}

/* "" where it is neither a text nor a number. */
static const char *value_of(const json_t *arg, const char *key, char text[32])
{
	if (json_is_string(arg))
		return json_string_value(arg);
	if (!json_is_integer(arg) || json_integer_value(arg) < 0)
		return "";
	snprintf(text, 32, "%" JSON_INTEGER_FORMAT "%s", json_integer_value(arg), strcmp(key, "push-interval") ? "" : "ms");
	return text;
}

/* Those that are there, over what policy has. 0, or the call has been failed. */
static int apply(struct control_call *call, struct policy *policy)
{
	char name[32], text[32], why[512];
	int err = 0;

	for (size_t i = 0; policy_keys[i] && !err; i++) {
		const json_t *arg = json_object_get(call->args, arg_name(policy_keys[i], name));

		if (arg && !json_is_null(arg))
			err = policy_set(policy, policy_keys[i], value_of(arg, policy_keys[i], text), why, sizeof(why));
	}
	if (!err)
		err = policy_check(policy, why, sizeof(why));
	if (err)
		control_fail(call, err, "%s", why);
	return err;
}

static int take_text(struct control_call *call, const struct policy *policy, char **text)
{
	*text = policy_text(policy);
	if (*text)
		return 0;
	control_fail(call, -ENOMEM, "out of memory");
	return -ENOMEM;
}

/* Later it could only be told to who looks for it. */
static int check_file(struct control_call *call, const struct policy *policy)
{
	struct profile_range *ranges = NULL;
	char why[512];
	size_t nr;
	int err = policy->local == LOCAL_FILE ? store_place_check(policy->local_path, why, sizeof(why)) : 0;

	if (err)
		control_fail(call, err, "%s", why);
	if (err || !policy->pull_file)
		return err;
	err = profile_read(policy->pull_file, policy->pull == PULL_LIST, &ranges, &nr, why, sizeof(why));
	free(ranges);
	if (err)
		control_fail(call, err, "what is to be pulled first: %s", why);
	return err;
}

static int wants_managed(struct control_call *call, bool *managed)
{
	bool direct = false, given = is_given(call), asked = false;
	int err = control_bool(call, "managed", &asked);

	if (!err)
		err = control_bool(call, "direct", &direct);
	if (!err && direct && (given || asked)) {
		control_fail(call, -EINVAL, "a direct region has no options of managed ones");
		err = -EINVAL;
	}
	/* one that has failed is gone */
	if (!err)
		*managed = !direct && (given || asked || call->regiond->config->managed);
	return err;
}

int control_policy_add(struct control_call *call, char **text)
{
	struct policy policy;
	bool managed;
	int err = wants_managed(call, &managed);

	*text = NULL;
	if (err || !managed)
		return err;
	err = policy_copy(&policy, &call->regiond->config->policy);
	if (err) {
		control_fail(call, err, "out of memory");
		return err;
	}
	err = apply(call, &policy);
	if (!err)
		err = check_file(call, &policy);
	if (!err)
		err = take_text(call, &policy, text);
	policy_free(&policy);
	return err;
}

int control_policy_leech(struct control_call *call, char **text)
{
	bool asked = false;
	int err = control_bool(call, "managed", &asked);

	*text = NULL;
	return err || (!asked && !is_given(call)) ? err : control_policy_add(call, text);
}

/* ---- set ---- */

/* A store's place, and what an fsync has promised, are for as long as the region is there. */
static const char *const lasting[] = { "local", "durability" };

static bool is_changed(const struct policy *from, const struct policy *to, const char *key)
{
	char *a = policy_show(from, key), *b = policy_show(to, key);
	bool changed = strcmp(a ? a : "", b ? b : "") != 0;

	free(a);
	free(b);
	return changed;
}

static int check_lasting(struct control_call *call, const struct region *region, const struct policy *from, const struct policy *to)
{
	for (size_t i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++)
		if (is_changed(from, to, lasting[i])) {
			control_fail(call, -EINVAL, "%s of %s can't be changed while it is there: 'regionctl rm' it, its source keeps the bytes, "
				     "and 'regionctl add' it again", lasting[i], region->info.path);
			return -EINVAL;
		}
	return 0;
}

/*
 * "any" is a way out for the others, where this one's source doesn't come back. The way back: what is unpushed has not been kept in order, so there must
 * be nothing. What a region has that isn't open nobody knows.
 */
static int check_push_order(struct control_call *call, const struct region *region, const struct policy *from, const struct policy *to)
{
	if (from->push_order == to->push_order)
		return 0;
	if (is_changed(from, to, "pull-order")) {
		control_fail(call, -EINVAL, "pull-order and push-order of a region can't be changed at once, but one after the other");
		return -EINVAL;
	}
	if (to->push_order == PUSH_ANY || (region->backend && !region_unpushed((struct region *)region)))
		return 0;
	control_fail(call, -EBUSY, region->backend ? "%s has bytes that its source has not got, in no order: 'regionctl sync %s' first" :
		     "%s is not open, and nobody knows what its source has not got", region->info.path, region->info.path);
	return -EBUSY;
}

static int set_policies(struct control_call *call, const struct region *region, struct policy *from, char **text, bool *again)
{
	struct policy to;
	int err = policy_copy(&to, from);

	if (err) {
		control_fail(call, err, "out of memory");
		return err;
	}
	err = apply(call, &to);
	if (!err)
		err = check_lasting(call, region, from, &to);
	if (!err)
		err = check_push_order(call, region, from, &to);
	if (!err)
		err = check_file(call, &to);
	*again = is_changed(from, &to, "pull-order");
	if (!err)
		err = take_text(call, &to, text);
	policy_free(&to);
	return err;
}

int control_policy_set(struct control_call *call, const struct region *region, char **text, bool *again)
{
	struct policy from;
	char why[512];
	int err;

	*text = NULL;
	*again = false;
	if (!is_given(call))
		return 0;
	if (!region->info.policy) {
		control_fail(call, -EINVAL, "%s is a direct region: 'regionctl rm' it, its source keeps the bytes, and "
			     "'regionctl add --managed' it", region->info.path);
		return -EINVAL;
	}
	err = policy_parse(&from, region->info.policy, why, sizeof(why));
	if (err) {
		control_fail(call, err, "%s", why);
		return err;
	}
	err = set_policies(call, region, &from, text, again);
	policy_free(&from);
	return err;
}
