// SPDX-License-Identifier: GPL-2.0
/* regionctl as its users meet it: output, exit codes, Ctrl-C; against a regiond of a few lines. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define REGION \
	"\"path\":\"db\",\"id\":3,\"size\":1048576,\"mode\":420,\"state\":\"ready\"," \
	"\"flags\":[\"frozen\"],\"opens\":2,\"source\":\"file:/x\""

static char run_dir[] = "/tmp/test-regionctl.XXXXXX";
static char regionctl[PATH_MAX];

/* What is answered to which command; NULL: nothing at all. */
static const struct {
	const char *command;
	const char *answer;
} answers[] = {
	{ "ls\",\"args\":{\"fields\":\"path size mode state flags opens source",
	  "{\"ok\":{\"rows\":[[\"db\",1048576,420,\"ready\",[\"frozen\"],2,\"file:/x\"]]}}\n" },
	{ "ls\",\"args\":{\"fields\":\"path", "{\"ok\":{\"rows\":[[\"db\"],[\"a \\\"b\\\"\"]]}}\n" },
	{ "ls\",\"args\":{\"path\":\"none", "{\"ok\":{\"regions\":[]}}\n" },
	{ "ls", "{\"ok\":{\"regions\":[{" REGION ",\"odd\":\"a\\\"{,:[\\\\\",\"none\":{}},{\"id\":-4}]}}\n" },
	{ "stat\",\"args\":{\"region\":\"near",
	  "{\"ok\":{\"path\":\"near\",\"size\":8192,\"source\":\"file:/x\",\"state\":\"ready\",\"policy\":\"local=memory\",\"managed\":"
	  "{\"policy\":{\"local\":\"memory\"},\"hits\":3,\"misses\":1,\"wait\":[1,3],\"source\":{\"state\":\"up\",\"away_ms\":0},"
	  "\"pull\":{\"state\":\"complete\"},\"store\":{\"present\":4096},\"push\":{\"state\":\"idle\",\"unpushed\":0}}}}\n" },
	{ "map\",\"args\":{\"region\":\"near\",\"n", "{\"ok\":{\"bucket\":4096,\"buckets\":[[4096,0,0,0],[0,0,0,0]]}}\n" },
	{ "record\",\"args\":{\"region\":\"near\",\"reset", "{\"ok\":{\"chunks\":1,\"profile\":\"\"}}\n" },
	{ "record", "{\"ok\":{\"chunks\":1,\"profile\":\"regionfs-profile 1\\n0 1\\n\"}}\n" },
	{ "pull\",\"args\":{\"pause", "{\"ok\":{\"state\":\"paused\",\"rate\":2048}}\n" },
	{ "stat\",\"args\":{\"region\":\"shut", "{\"ok\":{\"path\":\"shut\",\"size\":8192,\"flags\":[\"locked\"]}}\n" },
	{ "stat\",\"args\":{\"region\":\"part", "{\"ok\":{\"path\":\"part\",\"size\":8192,\"flags\":[],\"managed\":{\"source\":"
	  "{\"state\":\"away\"},\"pull\":{\"state\":\"pulling\"}}}}\n" },
	{ "stat\",\"args\":{\"region\":\"away", "{\"ok\":{\"path\":\"away\",\"size\":8192,\"flags\":[\"moved\"]}}\n" },
	{ "stat", "{\"ok\":{" REGION ",\"stats\":{\"reads\":7}}}\n" },
	{ "rm", "{\"error\":{\"errno\":16,\"message\":\"db has 5 dirty bytes\"}}\n" },
	{ "thaw", "{\"error\":{\"errno\":2,\"message\":\"no region named db\"}}\n" },
	{ "lock", "{\"error\":{\"errno\":5,\"message\":\"it broke\"}}\n" },
	{ "freeze", "{\"ok\":{}}\n" },
	{ "pull", "{\"progress\":{\"done\":1,\"total\":2,\"unit\":\"bytes\"}}\n{\"ok\":{\"bytes\":2048}}\n" },
	{ "events", "{\"event\":{\"event\":\"created\",\"path\":\"db\"}}\n{\"ok\":{}}\n" },
	{ "sync", NULL },
};

static const char *answer_to(const char *request)
{
	char command[128];

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		snprintf(command, sizeof(command), "{\"cmd\":\"%s\"", answers[i].command);
		if (!strncmp(request, command, strlen(command)))
			return answers[i].answer;
	}
	return "{\"error\":{\"errno\":95,\"message\":\"what?\"}}\n";
}

static void serve_one(int fd)
{
	char request[4096];
	ssize_t n = read(fd, request, sizeof(request) - 1);
	const char *answer;

	if (n <= 0)
		return;
	request[n] = '\0';
	answer = answer_to(request);
	/* Whoever is not answered leaves by itself. */
	if (!answer || write(fd, answer, strlen(answer)) < 0)
		n = read(fd, request, 1);
}

static pid_t start_server(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[64];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/demo", run_dir);
	mkdir(dir, 0700);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", dir);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
		perror(dir);
	pid = fork();
	while (!pid) {
		client = accept(fd, NULL, NULL);
		serve_one(client);
		close(client);
	}
	close(fd);
	return pid;
}

/* Runs it with these arguments: the exit code, and what it printed on stdout (or, for 2>, stderr). */
static int run(const char *args, char *out, size_t room)
{
	char command[PATH_MAX + 512];
	size_t n;
	int status;
	FILE *pipe;

	snprintf(command, sizeof(command), "'%s' %s", regionctl, args);
	pipe = popen(command, "r");
	n = fread(out, 1, room - 1, pipe);
	out[n] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check(const char *args, int code, const char *wanted)
{
	char out[8192];

	tap_number(run(args, out, sizeof(out)), code, args);
	if (wanted)
		tap_is(out, wanted, "  and what it prints");
}

static void check_output(void)
{
	check("ls", 0, "REGION   SIZE  MODE       STATE  FLAGS   OPENS  SOURCE\n"
	      "db      1 MiB  rw-r--r--  ready  frozen      2  file:/x\n");
	check("ls --names", 0, "db\na \"b\"\n");
	check("ls --json", 0, "{\n  \"regions\": [\n    {\n      \"path\": \"db\",\n      \"id\": 3,\n"
	      "      \"size\": 1048576,\n      \"mode\": 420,\n      \"state\": \"ready\",\n      \"flags\": [\n"
	      "        \"frozen\"\n      ],\n      \"opens\": 2,\n      \"source\": \"file:/x\",\n"
	      "      \"odd\": \"a\\\"{,:[\\\\\",\n      \"none\": {}\n    },\n    {\n      \"id\": -4\n    }\n  ]\n}\n");
	check("ls --json none", 0, "{\n  \"regions\": []\n}\n");
	check("thaw db --json 2>/dev/null", 3,
	      "{\n  \"error\": {\n    \"errno\": 2,\n    \"message\": \"no region named db\"\n  }\n}\n");
	check("stat db", 0, "region:    db\nid:        3\nsource:    file:/x\n"
	      "size:      1 MiB (1048576)\nmode:      rw-r--r--\nstate:     ready\n"
	      "flags:     frozen\nopens:     2\ncounters\n  reads:               7\n");
	check("pull db 2>/dev/null", 0, "pulled 2 KiB\n");
	check("freeze db", 0, "");
	check("freeze db --json", 0, "{}\n");
	check("--json pull db", 0, "{\n  \"bytes\": 2048\n}\n");
	check("events", 0, "created      db\n");
	check("events --json", 0, "{\"event\":\"created\",\"path\":\"db\"}\n");
}

static void check_managed(void)
{
	char line[256];

	check("stat near", 0, "region:    near\nsource:    file:/x\nsize:      8 KiB (8192)\nstate:     ready\nmanaged:   local=memory\n"
	      "here:      50%, 4 KiB of 8 KiB\nsource\n  state:     up\n  away for:  none\nreads\n  hits:              3\n"
	      "  misses:            1\nstore\n  here:            4 KiB (4096)\npull\n  state:           complete\n"
	      "push\n  state:                idle\n  not at the source:    0 B\n");
	check("watch near --once", 0, "near  8 KiB\nsource    file:/x\n          up\n\n#.\n"
	      "4 KiB each: . remote  > on its way  # local  * not pushed  ^ being pushed\n\n"
	      "pull      complete, 50% here (4 KiB), 0 B/s, window 0 B, round trip 0.0 ms\npush      idle, 0 B unpushed, 0 B/s\n"
	      "reads     75% hits of 4\n\nhow long reads with a program waiting took\n"
	      "    < 4 us  ======================================================== 4\n");
	check("watch near --once --json | grep -c '{\"stat\":{.*\"map\":{\"bucket\":4096'", 0, "1\n");
	check("watch db --once 2>&1", 1, "regionctl watch: db is a direct region, of which there is nothing to watch: 'regionctl stat' "
	      "has its counters\n");
	snprintf(line, sizeof(line), "record near %s/profile --reset && cat %s/profile && stat -c %%a %s/profile", run_dir, run_dir, run_dir);
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "; rm %s/profile", run_dir);
	check(line, 0, NULL);
	snprintf(line, sizeof(line), "record near %s/profile > /dev/null; cat %s/profile", run_dir, run_dir);
	check(line, 0, "regionfs-profile 1\n0 1\n");
	check("record near /nowhere/x 2>&1", 3, "regionctl record: /nowhere/x can't be written: No such file or directory\n");
	check("record near 2>&1", 2, NULL);
	check("pull near --pause", 0, "paused, 2 KiB/s\n");
}

/* As far as that goes without a mount. */
static void check_bench(void)
{
	check("bench db 2>&1", 3, "regionctl bench: instance 'demo' is mounted nowhere that can be seen from here: "
	      "'mount -t regionfs demo DIR'\n");
	check("bench shut 2>&1", 4, "regionctl bench: shut is locked, so that nobody can read it: 'regionctl unlock shut', or wait "
	      "for the end of its hand-over\n");
	check("bench part 2>&1", 4, "regionctl bench: the source of part is away, and not all of it is here: measure it when that is "
	      "back\n");
	check("bench away 2>&1", 1, "regionctl bench: away has moved to another host: measure it there\n");
	check("bench /dev/null 2>&1", 3, "regionctl bench: /dev/null lies on no regionfs; to measure it beside a region, give it to "
	      "--compare\n");
	check("bench db --measures lone,fast 2>&1", 2, "regionctl bench: 'fast' is no measure: there are lone, random, seq, read, "
	      "warm and direct\n");
	check("bench db --rounds 0 2>&1", 2, "regionctl bench: --rounds is a number from 1 to 1000\n");
	check("bench db --size 1K 2>&1", 2, "regionctl bench: --size is at least 4K\n");
	check("bench db --pages 0 --json 2>/dev/null", 2,
	      "{\n  \"error\": {\n    \"errno\": 22,\n    \"message\": \"--pages is at least 1\"\n  }\n}\n");
}

static void check_failures(void)
{
	check("rm db 2>&1", 4, "regionctl rm: db has 5 dirty bytes\n");
	check("thaw db 2>&1", 3, "regionctl thaw: no region named db\n");
	check("lock db 2>&1", 1, "regionctl lock: it broke\n");
	check("lock db --json 2>/dev/null", 1,
	      "{\n  \"error\": {\n    \"errno\": 5,\n    \"message\": \"it broke\"\n  }\n}\n");
	check("-i other ls 2>&1", 3, "regionctl ls: regiond of instance 'other' is not running: start it "
	      "with 'regionctl instance start other'\n");
	check("ls > /dev/full 2>&1", 1, NULL);
}

static void check_usage(void)
{
	check("--help | head -1", 0, "Usage: regionctl [OPTION]... COMMAND [ARGUMENT]...\n");
	check("add --help | head -1", 0, "Usage: regionctl add [OPTION]... REGION\n");
	check("2>&1 >/dev/null", 2, NULL);
	check("stta db 2>&1", 2, "regionctl: there is no command 'stta'; did you mean 'stat'?\n");
	check("stat 2>&1", 2, "regionctl stat: REGION is missing; see 'regionctl stat --help'\n");
	check("set db 2>&1", 2, "regionctl set: nothing to set; see 'regionctl set --help'\n");
	check("-i ../x ls 2>&1", 2, NULL);
}

/* sync is never answered here: Ctrl-C detaches, says so, and is told from a failure. */
static void check_detach(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(99);
		execl(regionctl, "regionctl", "sync", "db", NULL);
		_exit(99);
	}
	usleep(300000);
	kill(pid, SIGINT);
	waitpid(pid, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 130, "Ctrl-C detaches");
}

int main(int argc, char **argv)
{
	char command[128];
	pid_t server;

	snprintf(regionctl, sizeof(regionctl), "%s/../bin/regionctl", dirname(argv[0]));
	if (access(regionctl, X_OK) || !mkdtemp(run_dir)) {
		puts("1..0 # SKIP regionctl is not built");
		return EXIT_SUCCESS;
	}
	setenv("REGIONFS_RUN_DIR", run_dir, 1);
	unsetenv("COLUMNS");
	server = start_server();
	check_output();
	check_managed();
	check_bench();
	check_failures();
	check_usage();
	check_detach();
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", run_dir);
	if (system(command))
		perror(command);
	return tap_end();
}
