// SPDX-License-Identifier: GPL-2.0
/* regionctl: the command line of regionfs. Finds the subcommand; cmd-*.c do the rest. */
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "version.h"

extern const struct cmd cmd_abort, cmd_add, cmd_bench, cmd_drain, cmd_drop, cmd_events, cmd_export;
extern const struct cmd cmd_pki_init, cmd_pki_issue, cmd_promote;
extern const struct cmd cmd_finalize, cmd_freeze, cmd_help, cmd_leech, cmd_lock, cmd_ls, cmd_pull;
extern const struct cmd cmd_record, cmd_resolve, cmd_rm, cmd_seed, cmd_set, cmd_stat, cmd_sync, cmd_thaw, cmd_unexport;
extern const struct cmd cmd_unlock, cmd_wait, cmd_watch;
extern const struct cmd cmd_instance_detach, cmd_instance_ls, cmd_instance_set;
extern const struct cmd cmd_instance_start, cmd_instance_stat, cmd_instance_stop;

/* In the order in which help lists them: what a user meets first comes first. */
const struct cmd *const cmd_table[] = {
	&cmd_add, &cmd_ls, &cmd_stat, &cmd_set, &cmd_rm,
	&cmd_sync, &cmd_pull, &cmd_drop, &cmd_drain, &cmd_watch, &cmd_record, &cmd_bench,
	&cmd_export, &cmd_unexport,
	&cmd_seed, &cmd_leech, &cmd_finalize, &cmd_promote, &cmd_abort, &cmd_resolve, &cmd_wait,
	&cmd_freeze, &cmd_thaw, &cmd_lock, &cmd_unlock,
	&cmd_events,
	&cmd_pki_init, &cmd_pki_issue,
	&cmd_instance_ls, &cmd_instance_stat, &cmd_instance_start, &cmd_instance_stop,
	&cmd_instance_set, &cmd_instance_detach,
	&cmd_help,
	NULL,
};

/* "regionctl: option '-x' needs a value; ..." */
static int usage_error(const char *before, const char *word, const char *after)
{
	fprintf(stderr, "regionctl: %s'%s'%s; 'regionctl --help' lists what there is\n",
		before, word, after);
	return CMD_USAGE;
}

static int unknown_command(const char *word, const char *second)
{
	char near[32];

	if (!strcmp(word, "pki"))
		return usage_error("", second ? second : word, second ? " is no command of pki: it has init and issue" :
				   " needs one of init, issue");
	if (!strcmp(word, "instance"))
		return usage_error("", second ? second : word, second ?
				   " is no command of instance: it has ls, stat, start, stop, set, detach" :
				   " needs one of ls, stat, start, stop, set, detach");
	if (!cmd_suggest(word, near))
		return usage_error("there is no command ", word, "");
	fprintf(stderr, "regionctl: there is no command '%s'; did you mean '%s'?\n", word, near);
	return CMD_USAGE;
}

/*
 * The options in front of the command. -1: go on, with optind at the command; else the exit code.
 */
static int parse_global(struct cmd_context *ctx, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:i:jhV", longs, NULL)) != -1) {
		if (c == 'i')
			ctx->instance = optarg;
		else if (c == 'j')
			ctx->json = true;
		else if (c == 'h')
			return help_all(stdout), CMD_OK;
		else if (c == 'V')
			return printf("regionctl %s\n", regionfs_version), CMD_OK;
		else if (c == ':')
			return usage_error("option ", argv[optind - 1], " needs a value");
		else
			return usage_error("there is no option ", argv[optind - 1], "");
	}
	return -1;
}

static int run_command(struct cmd_context *ctx, int argc, char **argv)
{
	int code;

	ctx->args = json_object();
	if (!ctx->args)
		return fputs("regionctl: out of memory\n", stderr), CMD_FAILED;
	if (cmd_parse(ctx, argc, argv)) {
		fprintf(stderr, "regionctl %s: %s; see 'regionctl %s --help'\n", ctx->cmd->name,
			ctx->message, ctx->cmd->name);
		code = CMD_USAGE;
	} else if (ctx->help) {
		help_command(ctx->cmd, stdout);
		code = CMD_OK;
	} else {
		code = ctx->cmd->run(ctx);
	}
	json_decref(ctx->args);
	return code;
}

/* A full disk behind stdout must not look like success. */
static int finish(int code)
{
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	perror("regionctl: cannot write the output");
	return code ? code : CMD_FAILED;
}

int main(int argc, char **argv)
{
	struct cmd_context ctx = { 0 };
	int code, used;

	setlocale(LC_CTYPE, "");
	code = parse_global(&ctx, argc, argv);
	if (code >= 0)
		return finish(code);
	argc -= optind;
	argv += optind;
	if (!argc) {
		help_all(stderr);
		return CMD_USAGE;
	}
	ctx.cmd = cmd_find((const char *const *)argv, argc, &used);
	if (!ctx.cmd)
		return unknown_command(argv[0], argv[1]);
	return finish(run_command(&ctx, argc - used + 1, argv + used - 1));
}
