// SPDX-License-Identifier: GPL-2.0
/* regionctl record: which parts of a region are needed, and in which order: for --pull-order profile:FILE. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

static int write_text(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* As open() with 0666 would have made it. */
static int give_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask) ? -errno : 0;
}

/* Beside it first: who reads the file finds the old one or the new one. */
static int write_file(const char *path, const char *text)
{
	char new[PATH_MAX];
	int fd, err;

	if ((size_t)snprintf(new, sizeof(new), "%s.XXXXXX", path) >= sizeof(new))
		return -ENAMETOOLONG;
	fd = mkstemp(new);
	if (fd < 0)
		return -errno;
	err = write_text(fd, text);
	if (!err)
		err = give_mode(fd);
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	if (!err && rename(new, path))
		err = -errno;
	if (err)
		unlink(new);
	return err;
}

static int record(struct cmd_context *ctx, const char *file)
{
	const char *profile;
	json_t *result;
	int code = cmd_call(ctx, "record", &result), err;

	if (code)
		return code;
	profile = json_string_value(json_object_get(result, "profile"));
	err = profile ? write_file(file, profile) : -EPROTO;
	if (err)
		code = cmd_fail(ctx, err, "%s can't be written: %s", file, strerror(-err));
	json_object_del(result, "profile");
	if (!code && ctx->json)
		show_json(result, true);
	else if (!code)
		printf("%" JSON_INTEGER_FORMAT " chunks in %s\n", json_integer_value(json_object_get(result, "chunks")), file);
	json_decref(result);
	return code;
}

/* Only once the file is there. */
static int reset(struct cmd_context *ctx)
{
	json_t *result;
	int code;

	json_object_set_new(ctx->args, "reset", json_true());
	code = cmd_call(ctx, "record", &result);
	json_decref(result);
	return code;
}

static int run(struct cmd_context *ctx)
{
	char *file = cmd_text(ctx, "file") ? strdup(cmd_text(ctx, "file")) : NULL;
	bool anew = cmd_take_flag(ctx, "reset");
	int code = CMD_OK;

	json_object_del(ctx->args, "file");
	if (!file && !anew) {
		cmd_fail(ctx, -EINVAL, "FILE is missing; see 'regionctl record --help'");
		return CMD_USAGE;
	}
	if (file)
		code = record(ctx, file);
	if (!code && anew)
		code = reset(ctx);
	free(file);
	return code;
}

const struct cmd cmd_record = {
	.name = "record",
	.summary = "write down which parts of a managed region were used first",
	.details =
		"FILE is a profile: pulled in its order the next time, by --pull-order profile:FILE, the\n"
		"program finds what it needs before it asks. What counts is what was touched since the\n"
		"region was opened, or since --reset.\n",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_PATH, "file", "FILE", true },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "reset", NULL, NULL, "begin anew; FILE may be left out" },
		CMD_OPTIONS_END,
	},
	.run = run,
};
