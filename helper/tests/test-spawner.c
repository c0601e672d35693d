// SPDX-License-Identifier: GPL-2.0
/* The spawner: status, output, environment, standard input, time-outs, killing, and its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "../run-dir.h"
#include "../spawner.h"

static struct loop *loop;
static struct spawner *spawner;
static int status;
static char output[2048];

static void on_done(struct spawner_job *job, int result, const char *text)
{
	status = result;
	snprintf(output, sizeof(output), "%s", text);
	loop_stop(loop);
}

static int run(const char *command, char *const *env, uint32_t timeout_ms, int stdio)
{
	struct spawner_job job = { .command = command, .env = env, .timeout_ms = timeout_ms, .stdio = stdio, .done = on_done };

	spawner_run(spawner, &job);
	loop_run(loop);
	loop_again(loop);
	return status;
}

static struct spawner_job long_job = { .command = "sleep 100", .stdio = -1, .done = on_done };

static void kill_long(struct loop_timer *timer)
{
	spawner_kill(spawner, &long_job);
}

static void check_kill(void)
{
	struct loop_timer timer = { .fire = kill_long };

	spawner_run(spawner, &long_job);
	loop_timer_set(loop, &timer, 50);
	loop_run(loop);
	loop_again(loop);
	tap_number(status, 256 + SIGTERM, "a command is ended when it is no longer wanted");
}

/* Closes the spawner, after which it is done. */
static void check_clear(void)
{
	char dir[] = "/tmp/regionfs-spawner-XXXXXX", run[64];
	int lock = -1;

	if (mkdtemp(dir)) {
		snprintf(run, sizeof(run), "%s/run", dir);
		lock = run_dir_take(run);
	}
	tap_number(spawner_clear(spawner, run, lock), 0, "it is asked to clear the run-time directory");
	spawner_close(spawner);
	tap_ok(lock >= 0 && access(run, F_OK) && errno == ENOENT, "and has done so when it has ended");
	rmdir(dir);
	close(lock);
}

int main(void)
{
	static char greeting[] = "GREETING=hello", path[] = "PATH=/nowhere";
	char *env[] = { greeting, path, NULL };
	char buf[16] = "";
	int fds[2];

	if (spawner_fork(&spawner) || loop_open(&loop, 0))
		return 99;
	spawner_start(spawner, loop);
	tap_number(run("exit 3", NULL, 0, -1), 3, "the exit code");
	tap_number(run("kill -9 $$", NULL, 0, -1), 256 + 9, "a signal");
	tap_number(run("no-such-command", NULL, 0, -1), 127, "a command that isn't there");
	run("echo oops >&2; echo not this", NULL, 0, -1);
	tap_is(output, "oops\n", "what it says on stderr");
	run("i=0; while [ $i -lt 3000 ]; do echo a long line of output, again and again >&2; i=$((i+1)); done; exit 4", NULL, 0, -1);
	tap_ok(status == 4 && strlen(output) >= 1000, "much of it is cut, and stops nobody");
	run("echo $GREETING $PATH >&2", env, 0, -1);
	tap_is(output, "hello /nowhere\n", "its environment");
	tap_number(run("sleep 100", NULL, 100, -1), -ETIMEDOUT, "a time-out");
	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		if (write(fds[0], "abc\n", 4) == 4)
			run("read x; echo $x$x", NULL, 0, fds[1]);
		close(fds[1]);
		tap_ok(read(fds[0], buf, sizeof(buf)) == 7 && !memcmp(buf, "abcabc\n", 7), "a socket as standard input and output");
		close(fds[0]);
	}
	check_kill();
	check_clear();
	loop_close(loop);
	return tap_end();
}
