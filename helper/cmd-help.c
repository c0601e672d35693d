// SPDX-License-Identifier: GPL-2.0
/* regionctl help: all subcommands in a list, or one of them in full. */
#include <errno.h>
#include <string.h>

#include "cmd.h"

#define GLOBAL_HELP \
	"  -i, --instance NAME   the instance to talk to (not needed where there is one)\n" \
	"  -j, --json            print JSON instead of text\n" \
	"  -h, --help            this help\n"

void help_all(FILE *to)
{
	fputs("Usage: regionctl [OPTION]... COMMAND [ARGUMENT]...\n"
	      "Controls the regions of a mounted regionfs and the helper (regiond) that serves them.\n\n"
	      "Options:\n" GLOBAL_HELP
	      "  -V, --version         the version\n\n"
	      "Commands ('regionctl COMMAND --help' tells more):\n", to);
	for (size_t i = 0; cmd_table[i]; i++)
		fprintf(to, "  %-16s %s\n", cmd_table[i]->name, cmd_table[i]->summary);
	fputs("\nSizes take K, M, G, T (powers of 1024), durations ms, s, m, h.\n"
	      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such region or instance,\n"
	      "4 busy or not in time (nothing was lost), 130 interrupted or detached.\n", to);
}

static void help_usage(const struct cmd *cmd, FILE *to)
{
	const struct cmd_operand *operand = cmd->operands;

	fprintf(to, "Usage: regionctl %s%s", cmd->name, cmd->options ? " [OPTION]..." : "");
	for (; operand && operand->type != CMD_END; operand++)
		fprintf(to, operand->optional ? " [%s]" : " %s", operand->name);
	fprintf(to, "\n%s\n", cmd->details ? cmd->details : cmd->summary);
}

void help_command(const struct cmd *cmd, FILE *to)
{
	const struct cmd_option *option = cmd->options;
	char left[64];

	help_usage(cmd, to);
	fputs("Options:\n", to);
	for (; option && option->type != CMD_END; option++) {
		snprintf(left, sizeof(left), "--%s%s%s", option->name, option->value ? " " : "",
			 option->value ? option->value : "");
		/*
		 * The text goes under the global options' texts; a long option gets a line of its
		 * own.
		 */
		if (strlen(left) > 17)
			fprintf(to, "      %s\n%24s%s\n", left, "", option->help);
		else
			fprintf(to, "      %-17s %s\n", left, option->help);
	}
	fputs(GLOBAL_HELP, to);
}

static int run(struct cmd_context *ctx)
{
	const char *words[2] = { cmd_text(ctx, "command"), cmd_text(ctx, "second") };
	const struct cmd *cmd;
	int used;

	if (!words[0]) {
		help_all(stdout);
		return CMD_OK;
	}
	cmd = cmd_find(words, words[1] ? 2 : 1, &used);
	if (!cmd) {
		cmd_fail(ctx, -ENOENT, "there is no command '%s'; 'regionctl help' lists them",
			 words[0]);
		return CMD_USAGE;
	}
	help_command(cmd, stdout);
	return CMD_OK;
}

const struct cmd cmd_help = {
	.name = "help",
	.summary = "list the commands, or tell about one",
	.operands = (const struct cmd_operand[]) {
		{ CMD_TEXT, "command", "COMMAND", true },
		{ CMD_TEXT, "second", "WORD", true },
		{ CMD_END, NULL, NULL, false },
	},
	.run = run,
};
