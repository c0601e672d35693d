// SPDX-License-Identifier: GPL-2.0
/* One request of a subcommand: instance, progress, Ctrl-C, and what is said when it fails. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd.h"
#include "progress.h"

/* What a call's lines need to know. */
struct call {
	struct cmd_context *ctx;
	struct regionfs_progress progress;
	char label[256];
	void (*line)(struct cmd_context *ctx, const json_t *value);
	char **text;
};

static int exit_code(int err)
{
	switch (-err) {
	case 0:
		return CMD_OK;
	case ENOENT:
	case ESRCH:
	case ENODEV:
	case ENOTUNIQ:
		return CMD_NOT_FOUND;
	case EBUSY:
	case ETIMEDOUT:
	case EAGAIN:
		return CMD_BUSY;
	case EINTR:
		return CMD_DETACHED;
	default:
		return CMD_FAILED;
	}
}

int cmd_fail(const struct cmd_context *ctx, int err, const char *format, ...)
{
	char text[REGIONFS_CLIENT_MESSAGE];
	json_t *value;
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	fprintf(stderr, "regionctl %s: %s\n", ctx->cmd->name, text);
	if (ctx->json) {
		value = json_pack("{s:{s:i, s:s}}", "error", "errno", -err, "message", text);
		show_json(value, true);
		json_decref(value);
	}
	return exit_code(err);
}

int cmd_stop_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* "pull db.sqlite", or "pulling db.sqlite" when regiond says so itself. */
static void set_label(struct call *call, const char *what)
{
	const char *group = cmd_text(call->ctx, "group"), *region = group ? group : cmd_text(call->ctx, "region");

	snprintf(call->label, sizeof(call->label), "%s%s%s", what, region ? " " : "",
		 region ? region : "");
}

static void take_progress(struct call *call, const json_t *value)
{
	json_int_t done = json_integer_value(json_object_get(value, "done"));
	json_int_t total = json_integer_value(json_object_get(value, "total"));
	const char *what = json_string_value(json_object_get(value, "what"));
	const char *unit = json_string_value(json_object_get(value, "unit"));

	if (what)
		set_label(call, what);
	regionfs_progress_update(&call->progress, done > 0 ? (uint64_t)done : 0,
				 total > 0 ? (uint64_t)total : 0, unit, regionfs_progress_now());
}

static void take_line(void *context, const char *key, const json_t *value)
{
	struct call *call = context;

	if (!strcmp(key, "progress"))
		take_progress(call, value);
	else if (!strcmp(key, "event") && call->line)
		call->line(call->ctx, value);
}

/* What a user who pressed Ctrl-C has to know: does it go on, and how is it ended? */
static int fail_detached(const struct cmd_context *ctx)
{
	const char *region = cmd_text(ctx, "region");
	const char *verb = ctx->cmd->name;

	/* a group's regions are the other side's to name */
	if (!region && cmd_text(ctx, "group"))
		return cmd_fail(ctx, -EINTR, "detached; it goes on in regiond: 'regionctl wait REGION' with any region of the group waits for its end, "
				"'regionctl abort REGION' aborts it");

	if (ctx->cmd->flags & CMD_WATCHES)
		return CMD_DETACHED;
	if (!(ctx->cmd->flags & CMD_DETACHES))
		return cmd_fail(ctx, -EINTR, "interrupted; regiond gives it up");
	if (!region || !strcmp(verb, "sync"))
		return cmd_fail(ctx, -EINTR, "detached; it goes on in regiond, and 'regionctl %s' again "
				"waits for it", verb);
	return cmd_fail(ctx, -EINTR, "detached; it goes on in regiond: 'regionctl wait %s' waits "
			"for its end, 'regionctl abort %s' aborts it", region, region);
}

static int connect_instance(struct cmd_context *ctx, struct regionfs_client *client)
{
	char name[REGIONFS_CLIENT_NAME];
	int err = regionfs_client_pick(ctx->instance, name, ctx->message, sizeof(ctx->message));

	if (err) {
		cmd_fail(ctx, err, "%s", ctx->message);
		return err == -EINVAL ? CMD_USAGE : exit_code(err);
	}
	err = regionfs_client_open(client, name);
	if (!err)
		return CMD_OK;
	cmd_fail(ctx, err, "%s", client->message);
	regionfs_client_close(client);
	return exit_code(err);
}

static int make_call(struct cmd_context *ctx, struct call call, const char *command, json_t **result)
{
	struct regionfs_client client;
	int err, code;

	*result = NULL;
	code = connect_instance(ctx, &client);
	if (code)
		return code;
	set_label(&call, ctx->cmd->name);
	regionfs_progress_init(&call.progress, stderr, call.label);
	client.stop_fd = cmd_stop_fd();
	client.line = take_line;
	client.context = &call;
	client.text = call.text;
	err = regionfs_client_call(&client, command, ctx->args, result);
	regionfs_progress_end(&call.progress);
	if (err == -EINTR && client.interrupted)
		code = fail_detached(ctx);
	else if (err)
		code = cmd_fail(ctx, err, "%s", client.message);
	close(client.stop_fd);
	regionfs_client_close(&client);
	return code;
}

int cmd_call_lines(struct cmd_context *ctx, const char *command,
		   void (*line)(struct cmd_context *ctx, const json_t *value), json_t **result)
{
	return make_call(ctx, (struct call){ .ctx = ctx, .line = line }, command, result);
}

int cmd_call_text(struct cmd_context *ctx, const char *command, char **text)
{
	json_t *result = NULL;
	int code;

	*text = NULL;
	code = make_call(ctx, (struct call){ .ctx = ctx, .text = text }, command, &result);
	/* not as regiond writes it, but JSON all the same */
	if (!code && !*text)
		*text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(result);
	return code;
}

int cmd_call(struct cmd_context *ctx, const char *command, json_t **result)
{
	return cmd_call_lines(ctx, command, NULL, result);
}

int cmd_call_quiet(struct cmd_context *ctx, const char *command)
{
	json_t *result;
	int code = cmd_call(ctx, command, &result);

	if (!code && ctx->json)
		show_json(result, true);
	json_decref(result);
	return code;
}
