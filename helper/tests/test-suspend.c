// SPDX-License-Identifier: GPL-2.0
/* What stops a program for a hand-over and lets it go on: in which order, when it fails or hangs, and when its helper dies. */
#include "host-pair.h"
#include "seeder.h"
#include "suspend.h"

static char bin[] = "/tmp/test-suspend.XXXXXX";
static char log_path[128];

/* ---- what is run here writes a line each ---- */

static void make_systemctl(void)
{
	char path[160], old[4096];
	FILE *file;

	snprintf(log_path, sizeof(log_path), "%s/log", bin);
	snprintf(path, sizeof(path), "%s/systemctl", bin);
	file = fopen(path, "w");
	fprintf(file, "#!/bin/sh\necho \"$1 $3\" >> %s\n[ ! -e %s/fail-$1 ] || { echo \"no $1 for $3\" >&2; exit 5; }\n",
		log_path, bin);
	fclose(file);
	chmod(path, 0755);
	snprintf(old, sizeof(old), "%s:%s", bin, getenv("PATH"));
	setenv("PATH", old, 1);
}

static void fail_next(const char *verb, bool on)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/fail-%s", bin, verb);
	if (on)
		close(open(path, O_CREAT | O_WRONLY, 0600));
	else
		unlink(path);
}

/* A command that says its moment, and then does what. */
static const char *says(const char *what)
{
	static char commands[4][512];
	static unsigned int turn;
	char *command = commands[turn++ % 4];

	snprintf(command, sizeof(commands[0]), "echo $REGIONFS_MOMENT $REGIONFS_REGION$REGIONFS_REASON >> %s; %s", log_path, what);
	return command;
}

/* What was run since the last time, with commas. */
static const char *was_run(void)
{
	static char text[2048];
	FILE *file = fopen(log_path, "r");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	text[n] = '\0';
	if (file)
		fclose(file);
	unlink(log_path);
	for (char *at = text; (at = strchr(at, '\n'));)
		*at = at[1] ? ',' : '\0';
	return text;
}

/* ---- two hosts ---- */

static struct kernel_region *from, *to;

/* A has a region. */
static void begin(const char *name)
{
	char path[128];

	pair_new(name);
	snprintf(path, sizeof(path), "%s/bytes", a->run);
	make_file(path, 7);
	from = add_file("db", path, SIZE);
	host_start(a);
	host_start(b);
	was_run();
}

/* Takes more arguments. */
static int seed(json_t *more)
{
	json_t *args = json_pack("{s:s,s:s+,s:b}", "region", "db", "listen", "unix:", socket_path, "detach", 1);

	json_object_update(args, more);
	json_decref(more);
	return host_do(a, "seed", args);
}

static void leech(struct user *user, json_t *more)
{
	to = leech_from(socket_path, b, user, more);
}

static json_t *hooks(const char *suspend)
{
	return json_pack("{s:s,s:s,s:s,s:s}", "on_suspend", suspend, "on_resume", says("true"), "on_abort", says("true"),
			 "suspend_unit", "app");
}

/* ---- hand-overs ---- */

static void test_move(void)
{
	struct user user;

	begin("move");
	tap_number(seed(hooks(says("true"))), 0, "a region is seeded");
	leech(&user, json_pack("{s:s,s:s,s:s}", "on_resume", says("true"), "on_abort", says("true"), "resume_unit", "app.service"));
	tap_is(was_run(), "", "while it is pulled nobody is stopped");
	tap_number(host_do(b, "finalize", db()), 0, "it is handed over");
	tap_ok(until(user.done) && !user.error, "all of it comes");
	tap_is(was_run(), "suspend db,stop app,start app.service,resume db", "the program is stopped on A and started on B, in this order");
}

static void test_fails(void)
{
	struct user user;

	begin("fails");
	seed(hooks(says("true")));
	leech(&user, json_object());
	fail_next("stop", true);
	tap_number(host_do(b, "finalize", db()), -ECANCELED, "a unit that cannot be stopped ends a hand-over");
	tap_is(was_run(), "suspend db,stop app,start app,resume db,abort dbsystemctl stop app ended with status 5: no stop for app",
	       "what was begun is undone, the other way round, and why is told");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN) && host_is(a, "db", "tracking"), "the region was not frozen");
	fail_next("start", true);
	tap_number(host_do(b, "finalize", db()), -ECANCELED, "one that then cannot be started again");
	tap_is(was_run(), "suspend db,stop app,start app,resume db,abort dbsystemctl stop app ended with status 5: no stop for app; "
	       "systemctl start app ended with status 5: no start for app", "stops nothing else from going on");
	fail_next("stop", false);
	fail_next("start", false);
	tap_number(host_do(b, "finalize", db()), 0, "when it can, the region is handed over");
	tap_is(was_run(), "suspend db,stop app", "once more it is stopped");
}

static void test_hangs(void)
{
	struct user user, finalizing;
	uint64_t began = loop_now_ns();
	json_t *args = hooks(says("exec sleep 100"));

	begin("hangs");
	json_object_set_new(args, "hook_timeout", json_integer(200));
	seed(args);
	leech(&user, json_object());
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(finalizing.done) && finalizing.error == -ECANCELED, "a suspend hook that hangs ends a hand-over: %s", finalizing.said);
	tap_ok(loop_now_ns() - began < 20000000000u && strstr(finalizing.said, "within 200 ms"), "when its time is up");
	tap_is(was_run(), "suspend db,resume db,abort dbthe suspend hook was not done within 200 ms", "the program goes on");
	tap_ok(!is_on(from, REGIONFS_REGION_FROZEN) && host_is(a, "db", "tracking"), "the region was not frozen");
}

/* It is owned there, whatever its program does. */
static void test_resume(void)
{
	struct user user;

	begin("resume");
	seed(json_object());
	leech(&user, json_pack("{s:s,s:s,s:i}", "on_resume", says("exec sleep 100"), "resume_unit", "app", "hook_timeout", 200));
	fail_next("start", true);
	tap_number(host_do(b, "finalize", db()), 0, "resuming that fails or hangs is no failure of a hand-over");
	fail_next("start", false);
	tap_is(was_run(), "start app,resume db", "all of it is tried");
	tap_ok(!is_on(to, REGIONFS_REGION_LOCKED) && is_on(from, REGIONFS_REGION_MOVED), "it has moved");
	tap_ok(strstr(host_says(b, "db", "error"), "no start for app"), "what failed can be seen: %s", host_says(b, "db", "error"));
	tap_ok(until(user.done) && !user.error, "and all of it comes");
}

/* ---- abort ---- */

static void test_abort(void)
{
	struct user user, aborting;
	char go[160], hook[256];

	begin("abort");
	snprintf(go, sizeof(go), "%s/go", bin);
	snprintf(hook, sizeof(hook), "while ! test -e %s; do sleep 0.01; done", go);
	seed(hooks(says("true")));
	leech(&user, json_pack("{s:s}", "on_abort", says(hook)));
	host_begin(b, &aborting, "abort", db());
	tap_ok(until(!access(log_path, F_OK)), "a leech that is aborted runs its abort hook");
	tap_ok(host_region(b, "db") && !aborting.done, "before its region is removed");
	tap_number(host_do(b, "finalize", db()), -ECANCELED, "it is not finalized any more");
	tap_number(host_do(b, "abort", db()), -EALREADY, "nor aborted twice");
	close(open(go, O_CREAT | O_WRONLY, 0600));
	tap_ok(until(aborting.done) && !aborting.error && !host_region(b, "db"), "then it is");
	tap_is(was_run(), "abort dbaborted by the user", "why is told; on A nothing was stopped");
	tap_ok(until(host_is(a, "db", "serving") || host_is(a, "db", "tracking")), "A goes on");
	tap_number(host_do(a, "abort", db()), 0, "A is aborted as well");
	tap_is(was_run(), "abort dbaborted by the user", "its abort hook is run");
}

static void test_abort_suspended(void)
{
	struct user user, finalizing, aborting;

	begin("frozen");
	seed(hooks(says("true")));
	leech(&user, json_object());
	a->kernel.hold = REGIONFS_CMD_FREEZE;
	host_begin(b, &finalizing, "finalize", db());
	tap_ok(until(!list_empty(&a->kernel.held)), "a region is being frozen");
	host_begin(a, &aborting, "abort", db());
	pass(50);
	host_release(a);
	tap_ok(until(aborting.done) && !aborting.error, "that is aborted on A");
	tap_is(was_run(), "suspend db,stop app,start app,resume db,abort dbaborted by the user", "everything is undone, once");
}

/* ---- its helper dies ---- */

static void test_killed(void)
{
	struct user user, finalizing;
	struct region *region;

	begin("killed");
	seed(hooks(says("true")));
	leech(&user, json_object());
	a->kernel.hold = REGIONFS_CMD_REGION_GET;
	host_begin(b, &finalizing, "finalize", db());
	/* STATUS asks the kernel, too, and does not wait for it long */
	tap_ok(until(is_on(from, REGIONFS_REGION_FROZEN)) && until(!list_empty(&a->kernel.held)), "a helper is killed when all is stopped");
	tap_is(was_run(), "suspend db,stop app", "a command and a unit");
	host_kill(a);
	host_start(a);
	seeder_restart(a->regiond);
	region = region_find_path(a->regiond->regions, "db");
	tap_ok(until(!region->info.seed) && !is_on(from, REGIONFS_REGION_FROZEN), "the next one has it back in service");
	tap_is(was_run(), "start app,resume db,abort dbregiond has ended while it was being frozen", "with both, and the abort hook");
	region_put(region);
}

/* ---- arguments and records ---- */

static void refused(const char *key, json_t *value, const char *text)
{
	json_t *args = json_pack("{s:s,s:s,s:b,s:o}", "region", "db", "listen", "127.0.0.1:0", "detach", 1, key, value);
	struct user user;

	host_begin(a, &user, "seed", args);
	until(user.done);
	tap_ok(user.error == -EINVAL && strstr(user.said, text), "%s is refused: %s", key, user.said);
}

static void test_args(void)
{
	begin("args");
	refused("suspend_unit", json_string("app; reboot"), "no name of a systemd unit");
	refused("suspend_unit", json_string("--now"), "no name of a systemd unit");
	refused("suspend_cgroup", json_string("/tmp"), "not below");
	refused("suspend_cgroup", json_string("x/../y"), "\"..\"");
	refused("hook_timeout", json_integer(0), "no time");
	tap_ok(!handover_show(region_find_path(a->regiond->regions, "db")), "nothing is seeded");
}

static void test_text(void)
{
	char command[] = "x \"y\" %", unit[] = "app", other[] = "other", cgroup[] = CGROUP_ROOT "/app";
	struct suspend one = { .on_resume = command, .unit = unit, .cgroup = cgroup, .timeout_ms = 7 }, two = { 0 }, none = { 0 };
	char *text;

	tap_ok(!suspend_text(&none, &text) && !text, "nothing is no text");
	tap_ok(!suspend_text(&one, &text) && text, "what is to be resumed outlives the helper");
	printf("# %s\n", text);
	suspend_recall(&two, text);
	tap_ok(!strcmp(two.on_resume, command) && !strcmp(two.unit, unit) && !strcmp(two.cgroup, cgroup) && !two.on_suspend &&
	       two.timeout_ms == 7 && two.begun == SUSPEND_ALL, "as it was");
	suspend_free(&two);
	two = (struct suspend){ .on_resume = strdup("new"), .unit = strdup(other) };
	suspend_recall(&two, text);
	tap_ok(!strcmp(two.on_resume, "new") && !strcmp(two.unit, unit), "a command may be named anew, but what is stopped is stopped");
	suspend_free(&two);
	two = (struct suspend){ 0 };
	suspend_recall(&two, "{ kill -CONT 7; }");
	tap_ok(!strcmp(two.on_resume, "{ kill -CONT 7; }") && !two.unit && !two.cgroup, "an older record has the command alone");
	suspend_free(&two);
	free(text);
}

/* ---- all three ---- */

static int ended;
static char ended_why[256];

static void on_end(struct suspend *suspend, int error, const char *why)
{
	ended = error ? error : 1;
	snprintf(ended_why, sizeof(ended_why), "%s", why);
}

static bool is_frozen(const char *cgroup)
{
	char path[256], text[128] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
	file = fopen(path, "r");
	if (file && fread(text, 1, sizeof(text) - 1, file))
		fclose(file);
	return strstr(text, "frozen 1");
}

static void check_all(const char *cgroup)
{
	char command[512], stop[160];
	struct suspend suspend = { .on_suspend = command, .on_resume = command, .unit = stop, .cgroup = (char *)cgroup };
	struct region *region = region_find_path(a->regiond->regions, "db");

	snprintf(stop, sizeof(stop), "app");
	snprintf(command, sizeof(command), "echo $REGIONFS_MOMENT $(cat %s/cgroup.freeze) >> %s", cgroup, log_path);
	ended = 0;
	suspend_stop(&suspend, region, on_end);
	tap_ok(until(ended) == 1 && is_frozen(cgroup), "a command, a unit and a cgroup are stopped%s", ended_why);
	tap_is(was_run(), "suspend 0,stop app", "the cgroup comes last");
	ended = 0;
	suspend_start(&suspend, region, on_end);
	tap_ok(until(ended) == 1 && !is_frozen(cgroup), "and go on%s", ended_why);
	tap_is(was_run(), "start app,resume 0", "where it is the first");
	ended = 0;
	suspend_start(&suspend, region, on_end);
	tap_ok(until(ended) == 1, "a second time");
	tap_is(was_run(), "", "there is nothing to be done");
	region_put(region);
}

static void test_all(void)
{
	static const char *const mounts[] = { CGROUP_ROOT, CGROUP_ROOT "/unified" };
	char cgroup[128], why[512];

	begin("all");
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		snprintf(cgroup, sizeof(cgroup), "%s/test-suspend-%d", mounts[i], getpid());
		if (mkdir(cgroup, 0755))
			continue;
		if (!cgroup_check(cgroup, why, sizeof(why))) {
			check_all(cgroup);
			rmdir(cgroup);
			return;
		}
		rmdir(cgroup);
	}
	tap_skip("a cgroup", "there is no cgroup2 to be written to");
}

int main(void)
{
	char command[128];

	if (!mkdtemp(bin))
		return 99;
	make_systemctl();
	if (!hosts_open())
		return 99;
	test_move();
	test_fails();
	test_hangs();
	test_resume();
	test_abort();
	test_abort_suspended();
	test_killed();
	test_args();
	test_text();
	test_all();
	snprintf(command, sizeof(command), "rm -rf %s", bin);
	if (system(command))
		printf("# %s was not removed\n", bin);
	return hosts_end();
}
