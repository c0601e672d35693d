// SPDX-License-Identifier: GPL-2.0
/*
 * Both ends of the control socket, which have a table each: whatever regionctl's help names as an option of a command, regiond takes with
 * that command. The commands themselves are not run.
 */
#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../client.h"
#include "../control-private.h"
#include "../loop.h"
#include "../regiond.h"
#include "tap.h"

static char run_dir[] = "/tmp/test-control.XXXXXX";
static char regionctl[PATH_MAX];

/* Which regiond has let in, of all processes here. */
static volatile unsigned int *taken;

/* The first thing that is done with a call that was let in. */
void __wrap_control_resolve(struct control_call *call);

void __wrap_control_resolve(struct control_call *call)
{
	++*taken;
	control_ok(call, NULL);
}

void regiond_stop(struct regiond *regiond)
{
}

void regiond_gone(struct regiond *regiond)
{
}

void regiond_broken(struct regiond *regiond, int error)
{
}

static pid_t start_regiond(void)
{
	static struct regiond regiond;
	char path[PATH_MAX];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/demo", run_dir);
	mkdir(path, 0700);
	strcat(path, "/control");
	pid = fork();
	if (pid)
		return pid;
	if (loop_open(&regiond.loop, 0) || control_open(&regiond.control, &regiond, path, 0, false))
		_exit(1);
	_exit(loop_run(regiond.loop) ? 1 : 0);
}

/* The first line that was printed, on whichever of both outputs. */
static void first_line(const char *command, char *line, size_t room)
{
	FILE *pipe = popen(command, "r");
	char rest[4096];

	*line = '\0';
	if (!pipe || !fgets(line, (int)room, pipe))
		snprintf(line, room, "nothing");
	line[strcspn(line, "\n")] = '\0';
	while (pipe && fgets(rest, sizeof(rest), pipe))
		;
	if (pipe)
		pclose(pipe);
}

/* Something that regionctl takes for what its help calls so. */
static const char *value_of(const char *name)
{
	static const struct {
		const char *name, *value;
	} values[] = {
		{ "TIME", "1s" }, { "SIZE", "4096" }, { "PERCENT", "5" }, { "OCTAL", "600" }, { "USER", "0" }, { "USER[:GROUP]", "0" }, { "GROUP", "0" },
		{ "URI", "memory:" }, { "WHERE", "cache" }, { "ORDER", "sequential" }, { "peer://HOST:PORT/REGION", "peer://h:1/db" }, { "NAME", "demo" },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (!strcmp(name, values[i].name))
			return values[i].value;
	return "x";
}

/* "Usage: regionctl leech [OPTION]... REGION [peer://...]": with all of them, but the list that may follow. */
static void operands_of(const char *cmd, char *operands, size_t room)
{
	char command[PATH_MAX + 64], usage[512], *save = NULL;
	int skip = strchr(cmd, ' ') ? 4 : 3;
	size_t at = 0;

	*operands = '\0';
	snprintf(command, sizeof(command), "'%s' %s --help", regionctl, cmd);
	first_line(command, usage, sizeof(usage));
	for (char *word = strtok_r(usage, " []", &save); word; word = strtok_r(NULL, " []", &save))
		if (--skip < 0 && strcmp(word, "OPTION") && *word != '.' && !strstr(word, "..."))
			at += (size_t)snprintf(operands + at, room - at, " %s", value_of(word));
}

/* Of a line of help: "      --name VALUE  what it does", where VALUE is one blank away. The global ones are no command's. */
static bool parse_option(char *line, char **option, char **value)
{
	if (strncmp(line, "      --", 8) || strstr(line, "--help "))
		return false;
	*option = line + 8;
	*value = *option + strcspn(*option, " \n");
	if (**value)
		*(*value)++ = '\0';
	if (!isupper((unsigned char)**value))
		**value = '\0';
	(*value)[strcspn(*value, " \n")] = '\0';
	return true;
}

/* Is a call of it let in? If not, says what was said. */
static bool is_taken(const char *cmd, const char *operands, const char *option, const char *value)
{
	char command[2 * PATH_MAX], said[1024];
	unsigned int before = *taken;
	/* a group's regions have their names from there */
	bool group = !strcmp(cmd, "leech") && !strcmp(option, "group");

	snprintf(command, sizeof(command), "timeout 20 '%s' -i demo %s %s%s%s%s%s 2>&1 </dev/null", regionctl, cmd, group ? "peer://h:1" : operands,
		 *option ? " --" : "", option, *value ? " " : "", *value ? value_of(value) : "");
	first_line(command, said, sizeof(said));
	if (*taken == before)
		printf("# %s --%s: %s\n", cmd, option, said);
	return *taken != before;
}

static void check_command(const char *cmd)
{
	char command[PATH_MAX + 64], line[1024], operands[256], *option, *value;
	unsigned int options = 0, ok = 0;
	FILE *help;

	operands_of(cmd, operands, sizeof(operands));
	snprintf(command, sizeof(command), "'%s' %s --help | sed '1,/^Options:/d'", regionctl, cmd);
	help = popen(command, "r");
	while (help && fgets(line, sizeof(line), help))
		if (parse_option(line, &option, &value)) {
			options++;
			ok += is_taken(cmd, operands, option, value);
		}
	if (help)
		pclose(help);
	tap_ok(ok == options, "%s: regiond takes its options, which are %u", cmd, options);
}

/* These have options for regionctl alone, ask no regiond, or start one. */
static bool is_local(const char *cmd)
{
	static const char *const local[] = { "bench", "watch", "help", "instance start", "pki init", "pki issue" };

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (!strcmp(cmd, local[i]))
			return true;
	return false;
}

static void check_commands(void)
{
	char command[PATH_MAX + 64], line[256], cmd[32];
	FILE *list;

	snprintf(command, sizeof(command), "'%s' --help | sed '1,/^Commands/d; /^$/,$d'", regionctl);
	list = popen(command, "r");
	while (list && fgets(line, sizeof(line), list)) {
		/* its column */
		snprintf(cmd, sizeof(cmd), "%.16s", line + 2);
		for (size_t end = strlen(cmd); end && cmd[end - 1] == ' '; end--)
			cmd[end - 1] = '\0';
		if (!is_local(cmd))
			check_command(cmd);
	}
	if (list)
		pclose(list);
}

/* One says something only together with others. */
static void check_together(void)
{
	tap_ok(is_taken("promote", "db --source-lost", "force", ""), "promote: --force is of --source-lost");
	tap_ok(is_taken("resolve", "db --source-lost", "also", "URI"), "resolve: so is --also");
	tap_ok(is_taken("seed", "a b c", "group", "NAME"), "seed: several regions");
}

static void check_unknown(void)
{
	struct regionfs_client client = { .stop_fd = -1 };
	json_t *args = json_pack("{s:s,s:b}", "region", "db", "forc", 1), *result = NULL;

	tap_number(regionfs_client_open(&client, "demo"), 0, "what a command does not take");
	tap_number(regionfs_client_call(&client, "thaw", args, &result), -EINVAL, "is refused");
	tap_is(client.message, "\"thaw\" takes no \"forc\"", "and why is said");
	json_decref(args);
	args = json_pack("{s:i}", "", 1);
	tap_number(regionfs_client_call(&client, "ls", args, &result), -EINVAL, "an argument without a name is refused");
	regionfs_client_close(&client);
	json_decref(args);
}

int main(int argc, char **argv)
{
	char command[128];
	pid_t regiond;

	snprintf(regionctl, sizeof(regionctl), "%s/../bin/regionctl", dirname(argv[0]));
	taken = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (access(regionctl, X_OK) || taken == MAP_FAILED || !mkdtemp(run_dir)) {
		puts("1..0 # SKIP regionctl is not built");
		return EXIT_SUCCESS;
	}
	setenv("REGIONFS_RUN_DIR", run_dir, 1);
	regiond = start_regiond();
	for (int i = 0; i < 100 && !is_taken("thaw", "db", "", ""); i++)
		usleep(100000);
	check_commands();
	check_together();
	check_unknown();
	kill(regiond, SIGKILL);
	waitpid(regiond, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", run_dir);
	if (system(command))
		perror(command);
	return tap_end();
}
