// SPDX-License-Identifier: GPL-2.0
/* control-call: what handlers of control commands have: arguments, answers, and the region that is meant. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control-private.h"
#include "instance.h"
#include "log.h"
#include "netlink.h"
#include "region.h"
#include "regiond.h"
#include "text.h"
#include "units.h"

/* ---- answers ---- */

static void call_end(struct control_call *call)
{
	if (call->client)
		control_ended(call->client);
	json_decref(call->args);
	if (call->region)
		region_put(call->region);
	free(call);
}

void control_progress(struct control_call *call, uint64_t done, uint64_t total, const char *unit, const char *what)
{
	json_t *progress;

	if (!call->client)
		return;
	progress = json_pack("{s:I,s:I,s:s}", "done", (json_int_t)done, "total", (json_int_t)total, "unit", unit);
	if (what)
		json_object_set_new(progress, "what", json_string(what));
	control_put(call->client, json_pack("{s:o}", "progress", progress), true);
}

void control_event(struct control_call *call, json_t *event)
{
	control_put(call->client, json_pack("{s:o}", "event", event), true);
}

void control_ok(struct control_call *call, json_t *result)
{
	control_put(call->client, json_pack("{s:o}", "ok", result ? result : json_object()), false);
	call_end(call);
}

void control_ok_text(struct control_call *call, struct text *line)
{
	if (line->failed) {
		control_fail(call, -ENOMEM, "out of memory");
	} else {
		control_put_text(call->client, line->data, line->len);
		call_end(call);
	}
	text_free(line);
}

void control_fail(struct control_call *call, int error, const char *fmt, ...)
{
	char text[1024];
	json_t *message;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (call->failure) {
		call->failure->error = error;
		memcpy(call->failure->why, text, sizeof(text));
	}
	if (call->again)
		log_error("%s: %s", call->region && call->region->info.path ? call->region->info.path : "a region", text);
	message = control_text(text);
	control_put(call->client, json_pack("{s:{s:i,s:o}}", "error", "errno", -error, "message", message), false);
	call_end(call);
}

/* Paths need not be UTF-8, JSON strings must. */
json_t *control_text(const char *string)
{
	struct text text = { .len = 0 };
	json_t *json;

	text_json(&text, string);
	json = text.failed ? NULL : json_loadb(text.data, text.len, JSON_DECODE_ANY, NULL);
	text_free(&text);
	return json ? json : json_string("?");
}

json_t *control_id(uint64_t id)
{
	char text[32];

	if (id <= INT64_MAX)
		return json_integer((json_int_t)id);
	snprintf(text, sizeof(text), "0x%" PRIx64, id);
	return json_string(text);
}

/* ---- arguments ---- */

static bool takes_key(const struct control_cmd *cmd, const char *key)
{
	size_t len = strlen(key);

	for (const char *at = cmd->args; len && at && (at = strstr(at, key)); at += len)
		if ((at == cmd->args || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

bool control_takes(struct control_call *call)
{
	const char *key;
	json_t *value;

	json_object_foreach(call->args, key, value)
		if (!takes_key(call->cmd, key)) {
			control_fail(call, -EINVAL, "\"%s\" takes no \"%s\"", call->cmd->name, key);
			return false;
		}
	return true;
}

bool control_has(struct control_call *call, const char *key)
{
	json_t *value = json_object_get(call->args, key);

	return value && !json_is_null(value);
}

int control_string(struct control_call *call, const char *key, const char **value)
{
	json_t *arg = json_object_get(call->args, key);

	if (!arg || json_is_null(arg))
		return 0;
	if (!json_is_string(arg)) {
		control_fail(call, -EINVAL, "\"%s\" must be a string", key);
		return -EINVAL;
	}
	*value = json_string_value(arg);
	return 0;
}

int control_strings(struct control_call *call, const char *key, json_t **values)
{
	json_t *arg = json_object_get(call->args, key), *value;
	size_t i;

	/* what is not an array may be one value of it */
	if (!json_is_array(arg)) {
		arg = arg && !json_is_null(arg) ? json_pack("[O]", arg) : json_array();
		json_object_set_new(call->args, key, arg);
	}
	json_array_foreach(arg, i, value) {
		if (json_is_string(value))
			continue;
		control_fail(call, -EINVAL, "\"%s\" must be strings", key);
		return -EINVAL;
	}
	*values = arg;
	return 0;
}

static int parse_u64(const json_t *arg, uint64_t *value)
{
	const char *text = json_string_value(arg);
	char *end;

	if (json_is_integer(arg) && json_integer_value(arg) >= 0) {
		*value = (uint64_t)json_integer_value(arg);
		return 0;
	}
	if (!text)
		return -EINVAL;
	if (strncmp(text, "0x", 2))
		return regionfs_size_parse(text, value);
	errno = 0;
	*value = strtoull(text, &end, 16);
	return errno || *end || !text[2] ? -EINVAL : 0;
}

int control_u64(struct control_call *call, const char *key, uint64_t *value)
{
	json_t *arg = json_object_get(call->args, key);
	int err;

	if (!arg || json_is_null(arg))
		return 0;
	err = parse_u64(arg, value);
	if (err)
		control_fail(call, -EINVAL, "\"%s\" must be a number", key);
	return err;
}

int control_u32(struct control_call *call, const char *key, uint32_t *value)
{
	uint64_t wide = *value;
	int err = control_u64(call, key, &wide);

	if (!err && wide > UINT32_MAX) {
		control_fail(call, -ERANGE, "\"%s\" is too large", key);
		err = -ERANGE;
	}
	if (!err)
		*value = (uint32_t)wide;
	return err;
}

int control_bool(struct control_call *call, const char *key, bool *value)
{
	json_t *arg = json_object_get(call->args, key);

	if (!arg || json_is_null(arg))
		return 0;
	if (!json_is_boolean(arg)) {
		control_fail(call, -EINVAL, "\"%s\" must be true or false", key);
		return -EINVAL;
	}
	*value = json_is_true(arg);
	return 0;
}

/* ---- again, for the next helper ---- */

struct control_call *control_again(struct regiond *regiond, const char *text, struct region *region)
{
	struct control_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->args = json_loads(text, 0, NULL);
	if (!json_is_object(call->args)) {
		json_decref(call->args);
		free(call);
		return NULL;
	}
	call->regiond = regiond;
	call->again = true;
	call->region = region ? region_get(region) : NULL;
	return call;
}

struct control_call *control_part(struct regiond *regiond, json_t *args, struct region *region, struct control_failure *failure)
{
	struct control_call *call = args ? calloc(1, sizeof(*call)) : NULL;

	memset(failure, 0, sizeof(*failure));
	if (!call) {
		json_decref(args);
		return NULL;
	}
	call->args = args;
	call->regiond = regiond;
	call->failure = failure;
	call->region = region ? region_get(region) : NULL;
	return call;
}

char *control_again_text(const struct control_call *call, const char *role)
{
	json_t *args = json_deep_copy(call->args);
	char *text;

	json_object_set_new(args, "role", json_string(role));
	text = json_dumps(args, JSON_COMPACT);
	json_decref(args);
	return text;
}

bool control_again_is(const char *text, const char *role)
{
	json_t *args = text ? json_loads(text, 0, NULL) : NULL;
	const char *is = json_string_value(json_object_get(args, "role"));
	bool same = is && !strcmp(is, role);

	json_decref(args);
	return same;
}

/* ---- the region ---- */

struct resolve {
	struct netlink_call call;
	struct control_call *control;
};

/* "#ID", else a path below the mount. */
static bool parse_id(const char *name, uint64_t *id)
{
	char *end;

	if (*name != '#' || name[1] < '0' || name[1] > '9')
		return false;
	*id = strtoull(name + 1, &end, 10);
	return !*end;
}

static void resolve_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	struct control_call *control = container_of(call, struct resolve, call)->control;
	struct region *region = region_update(control->regiond->regions, attrs);

	if (!region || control->region)
		return;
	control->region = region_get(region);
	memcpy(control->stats, attrs->stats, sizeof(control->stats));
	control->opens = attrs->opens;
	control->writers = attrs->writers;
	control->nlink = attrs->nlink;
	control->mtime = attrs->mtime;
}

static void resolve_done(struct netlink_call *call, int error, const char *why)
{
	struct resolve *resolve = container_of(call, struct resolve, call);
	struct control_call *control = resolve->control;

	free(resolve);
	instance_suspect(control->regiond, error);
	/* not being there is the handler's to judge */
	if (error && error != -ENOENT)
		control_fail(control, error, "%s", *why ? why : strerror(-error));
	else
		control->cmd->run(control);
}

static void resolve_send(struct control_call *control, const char *name)
{
	struct resolve *resolve = calloc(1, sizeof(*resolve));
	uint64_t id;

	if (!resolve) {
		control_fail(control, -ENOMEM, "out of memory");
		return;
	}
	resolve->control = control;
	resolve->call.cmd = REGIONFS_CMD_REGION_GET;
	if (parse_id(name, &id))
		netlink_set(&resolve->call.attrs, REGION, region, id);
	else
		netlink_set(&resolve->call.attrs, PATH, path, name + (*name == '/'));
	resolve->call.item = resolve_item;
	resolve->call.done = resolve_done;
	netlink_call(control->regiond->netlink, &resolve->call);
}

/* The kernel is asked about the region first: an event that tells of it may still be on its way. */
void control_resolve(struct control_call *call)
{
	const char *name = NULL;

	if (control_string(call, "region", &name))
		return;
	/* what can't be the name of any region is not there either */
	if (!name || strlen(name) > REGIONFS_PATH_MAX)
		call->cmd->run(call);
	else
		resolve_send(call, name);
}

struct region *control_region(struct control_call *call)
{
	const char *name = NULL;

	if (call->region)
		return region_get(call->region);
	if (control_string(call, "region", &name))
		return NULL;
	if (!name)
		control_fail(call, -EINVAL, "\"region\" is missing");
	else
		control_fail(call, -ENOENT, "there is no region %s in instance %s", name, call->regiond->config->name);
	return NULL;
}
