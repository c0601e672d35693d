// SPDX-License-Identifier: GPL-2.0
/*
 * suspend: what is to be done, from a command's arguments, and to and from the text that outlives a helper: a JSON object with the same
 * keys. A text that is none is an older helper's, and the command alone that lets the program go on.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "suspend.h"

#define UNIT_MAX 255u

/* ---- arguments ---- */

static int take(struct control_call *call, const char *key, char **to)
{
	const char *value = NULL;

	if (control_string(call, key, &value))
		return -EINVAL;
	if (!value || !*value)
		return 0;
	free(*to);
	*to = strdup(value);
	if (*to)
		return 0;
	control_fail(call, -ENOMEM, "out of memory");
	return -ENOMEM;
}

static bool is_unit(const char *name)
{
	if (*name == '-' || strlen(name) > UNIT_MAX)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr(":-_.\\@", *name))
			return false;
	return true;
}

static int check_unit(struct control_call *call, const char *unit)
{
	if (!unit)
		return 0;
	if (!is_unit(unit))
		control_fail(call, -EINVAL, "'%s' is no name of a systemd unit", unit);
	else if (cgroup_of_unit(unit))
		control_fail(call, -EINVAL, "the unit %s has regiond in it, which would end with it", unit);
	else
		return 0;
	return -EINVAL;
}

static int take_cgroup(struct control_call *call, struct suspend *suspend)
{
	const char *name = NULL;
	char why[512];
	int ret;

	if (control_string(call, "suspend_cgroup", &name))
		return -EINVAL;
	if (!name || !*name)
		return 0;
	suspend->cgroup = cgroup_path(name, why, sizeof(why));
	/* of what an earlier helper was asked for, it may be gone, with its programs; it is looked at again before it is frozen */
	if (suspend->cgroup && call->again)
		return 0;
	ret = suspend->cgroup ? cgroup_check(suspend->cgroup, why, sizeof(why)) : -EINVAL;
	if (ret)
		control_fail(call, ret, "%s", why);
	return ret;
}

int suspend_take(struct suspend *suspend, struct control_call *call)
{
	if (take(call, "on_suspend", &suspend->on_suspend) || take(call, "on_resume", &suspend->on_resume) ||
	    take(call, "on_abort", &suspend->on_abort) || take(call, "suspend_unit", &suspend->unit) ||
	    take(call, "resume_unit", &suspend->unit) || control_u32(call, "hook_timeout", &suspend->timeout_ms) ||
	    check_unit(call, suspend->unit) || take_cgroup(call, suspend))
		return -EINVAL;
	if (suspend->timeout_ms || !control_has(call, "hook_timeout"))
		return 0;
	control_fail(call, -EINVAL, "hooks cannot be given no time at all");
	return -EINVAL;
}

/* ---- text ---- */

static const struct {
	const char *key;
	size_t offset;
	bool stopped;			/* names something that is stopped now */
} strings[] = {
	{ "on_suspend", offsetof(struct suspend, on_suspend), false },
	{ "on_resume", offsetof(struct suspend, on_resume), false },
	{ "on_abort", offsetof(struct suspend, on_abort), false },
	{ "suspend_unit", offsetof(struct suspend, unit), true },
	{ "suspend_cgroup", offsetof(struct suspend, cgroup), true },
};

#define NR_STRINGS (sizeof(strings) / sizeof(strings[0]))

static char **string_of(const struct suspend *suspend, size_t i)
{
	return (char **)((char *)suspend + strings[i].offset);
}

int suspend_text(const struct suspend *suspend, char **text)
{
	json_t *object = json_object();
	bool any = false;

	*text = NULL;
	for (size_t i = 0; i < NR_STRINGS; i++) {
		const char *string = *string_of(suspend, i);

		if (string)
			json_object_set_new(object, strings[i].key, json_string(string));
		any |= string != NULL;
	}
	json_object_set_new(object, "hook_timeout", json_integer(suspend->timeout_ms));
	if (any)
		*text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return any && !*text ? -ENOMEM : 0;
}

static void recall_string(char **to, const char *string, bool stopped)
{
	char *copy;

	if (!string || (*to && !stopped))
		return;
	copy = strdup(string);
	if (!copy)
		return;
	free(*to);
	*to = copy;
}

void suspend_recall(struct suspend *suspend, const char *text)
{
	json_t *object = text ? json_loads(text, 0, NULL) : NULL;
	json_int_t timeout = json_integer_value(json_object_get(object, "hook_timeout"));

	suspend->begun = SUSPEND_ALL;
	for (size_t i = 0; i < NR_STRINGS; i++)
		recall_string(string_of(suspend, i), json_string_value(json_object_get(object, strings[i].key)),
			      strings[i].stopped);
	if (!json_is_object(object))
		recall_string(&suspend->on_resume, text, false);
	if (!suspend->timeout_ms && timeout > 0 && timeout <= UINT32_MAX)
		suspend->timeout_ms = (uint32_t)timeout;
	json_decref(object);
}

void suspend_free(struct suspend *suspend)
{
	for (size_t i = 0; i < NR_STRINGS; i++)
		free(*string_of(suspend, i));
}
