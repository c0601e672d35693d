// SPDX-License-Identifier: GPL-2.0
/*
 * regiond: serves the regions of one instance. This is its start and its end; the work is done by device.c (requests),
 * region.c (whose they are), the backends, control.c (what regionctl asks) and netlink.c.
 *
 * SIGTERM detaches: regions and dirty bytes stay in the kernel, for the next regiond. SIGKILL does the same, less politely.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "barrier.h"
#include "config.h"
#include "confine.h"
#include "control.h"
#include "daemon.h"
#include "device.h"
#include "dial.h"
#include "dirty-share.h"
#include "events.h"
#include "instance.h"
#include "follower.h"
#include "leecher.h"
#include "listener.h"
#include "log.h"
#include "memory-dir.h"
#include "netlink.h"
#include "pressure.h"
#include "region-private.h"
#include "regiond.h"
#include "resident.h"
#include "restore.h"
#include "run-dir.h"
#include "seeder.h"
#include "spawner.h"
#include "state-record.h"
#include "state.h"
#include "version.h"

#define LOCK_TRIES	200
#define LOCK_PAUSE_US	100000
#define CLOSE_LIMIT_MS	5000
#define FLUSH_PAUSE_MS	10
#define FLUSH_PAUSES	100
#define LEAVE_PAUSE_MS	50
#define LEAVE_PAUSES	200

static struct config config;
static struct regiond regiond = { .config = &config };

static struct {
	int fd;
	struct signalfd_siginfo info;
	struct loop_op op;
	unsigned int count;
} signals;

static struct {
	struct loop_timer timer;
	struct state_waiter written;
	unsigned int closing;
	unsigned int pauses, leaving;
	bool done;
} end;

static int run_dir = -1;	/* the lock of it */
static int exit_status;
static bool serving;

/* ---- the end ---- */

/* The last word to regionctl may still be on its way. */
static void say_last(struct loop_timer *timer)
{
	if (!regiond.control || control_flushed(regiond.control) || ++end.pauses > FLUSH_PAUSES)
		loop_stop(regiond.loop);
	else
		loop_timer_set(regiond.loop, timer, FLUSH_PAUSE_MS);
}

static void all_written(struct state_waiter *waiter, int error)
{
	end.timer.fire = say_last;
	say_last(&end.timer);
}

static void all_closed(void)
{
	if (end.done)
		return;
	end.done = true;
	loop_timer_cancel(regiond.loop, &end.timer);
	end.written.done = all_written;
	state_sync(regiond.state, &end.written);
}

static void close_late(struct loop_timer *timer)
{
	log_warning("some backends did not close in time");
	all_closed();
}

static void region_is_closed(struct region *region, void *arg)
{
	if (!--end.closing)
		all_closed();
}

static int close_region(struct region *region, void *arg)
{
	end.closing++;
	region_mirror_size(region);
	region_shutdown(region, region_is_closed, NULL);
	return 0;
}

/* The kernel has let go: what is in the backends gets its orderly end. */
static void device_stopped(void *arg)
{
	regiond.device = NULL;
	end.timer.fire = close_late;
	loop_timer_set(regiond.loop, &end.timer, CLOSE_LIMIT_MS);
	end.closing = 1;
	region_each(regiond.regions, close_region, NULL);
	if (!--end.closing)
		all_closed();
}

static void exports_stopped(void *arg)
{
	(void)arg;
	if (regiond.device)
		device_stop(regiond.device, device_stopped);
	else
		device_stopped(NULL);
}

/* A program that is stopped for a hand-over that does not happen must not stay so. */
static void leave(struct loop_timer *timer)
{
	struct regiond *self = &regiond;

	(void)timer;
	if (self->regions && seeder_leave(self) && end.leaving++ < LEAVE_PAUSES) {
		end.timer.fire = leave;
		loop_timer_set(self->loop, &end.timer, LEAVE_PAUSE_MS);
		return;
	}
	if (self->server)
		server_stop(self->server, exports_stopped, NULL);
	else
		exports_stopped(NULL);
}

void regiond_stop(struct regiond *self)
{
	if (self->stopping)
		return;
	self->stopping = true;
	daemon_notify("STOPPING=1");
	if (self->control)
		control_close(self->control);
	leave(&end.timer);
}

static void fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says why, to the log and to whoever waits for us to be ready. */
static void fail(int error, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_error("%s", text);
	if (!serving)
		daemon_failed(text);
	exit_status = 1;
}

static void signal_came(struct loop_op *op, int res)
{
	if (res == (int)sizeof(signals.info) && signals.info.ssi_signo != SIGHUP) {
		if (signals.count++)
			loop_stop(regiond.loop);
		regiond_stop(&regiond);
	}
	loop_read(regiond.loop, op, signals.fd, &signals.info, sizeof(signals.info), LOOP_STREAM);
}

/* ---- the start, step by step ---- */

void regiond_broken(struct regiond *self, int error)
{
	fail(error, "the channel to the kernel broke: %s", strerror(-error));
	regiond_stop(self);
}

/* Whoever waits for us to be ready must not be told that we are. */
void regiond_gone(struct regiond *self)
{
	if (serving)
		log_info("instance %s has ended", config.name);
	else
		fail(-ENODEV, "instance %s was ended while regiond started", config.name);
	self->instance_ending = true;
	regiond_stop(self);
}

static void device_broken(void *arg, int error)
{
	if (!regiond.stopping && !regiond.instance_ending)
		instance_broken(&regiond, error);
}

static int control_start(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/control", config.run_dir);
	return control_open(&regiond.control, &regiond, path, config.allow_group, config.have_group);
}

static void is_restored(struct regiond *self, int error)
{
	int err = self->stopping ? -ECANCELED : error;

	if (!err)
		err = device_start(self->device, self->regions, device_broken);
	if (!err)
		err = control_start();
	if (err) {
		if (!self->stopping)
			fail(err, "instance %s can't be served: %s%s", config.name, strerror(-err), err != -EPERM ? "" :
			     " (where kernel.io_uring_disabled is 1, set kernel.io_uring_group to 0)");
		regiond_stop(self);
		return;
	}
	serving = true;
	/* in this order: what was seeded on while it came is seeded again in front of what comes */
	leecher_restart(self);
	seeder_restart(self);
	follower_restart(self);
	regions_open_managed(self->regions);
	log_info("serves instance %s, attach generation %u", config.name, self->attach_gen);
	daemon_ready();
}

static void instance_is_set(struct netlink_call *call, int error, const char *why)
{
	if (error)
		log_warning("the kernel did not take the instance's settings: %s", *why ? why : strerror(-error));
	dirty_share_keep(config.name, regiond.instance_id);
	free(call);
}

static void set_instance(void)
{
	struct netlink_call *call;

	if (!config.takeback && !config.dirty_ratio) {
		dirty_share_keep(config.name, regiond.instance_id);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call)
		return;
	call->cmd = REGIONFS_CMD_INSTANCE_SET;
	if (config.takeback)
		netlink_set(&call->attrs, TAKEBACK, takeback, config.takeback);
	if (config.dirty_ratio) {
		dirty_share_yield(config.name, regiond.instance_id);
		netlink_set(&call->attrs, DIRTY_RATIO, dirty_ratio, config.dirty_ratio);
	}
	call->done = instance_is_set;
	netlink_call(regiond.netlink, call);
}

static void is_attached(void *arg, int error, const char *why)
{
	if (error) {
		regiond.device = NULL;
		fail(error, "can't attach to instance %s: %s", config.name, *why ? why : strerror(-error));
		regiond_stop(&regiond);
		return;
	}
	regiond.instance_id = device_instance_id(regiond.device);
	regiond.attach_gen = device_attach_gen(regiond.device);
	set_instance();
	instance_watch(&regiond);
	restore_start(&regiond, is_restored);
}

static int device_attach(void)
{
	struct device_options options = {
		.instance = config.name,
		.queues = config.queues,
		.depth = config.depth,
		.poll = config.poll,
		.max_request = config.max_request,
		.features = REGIONFS_F_ANY_ADDR | REGIONFS_F_STORE | REGIONFS_F_RECOVER | REGIONFS_F_LOCAL_STORE | REGIONFS_F_LOCAL_MAP,
	};
	int err = device_open(&regiond.device, regiond.loop, &options, is_attached, NULL);

	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		fail(err, "there is no %s: load the module (modprobe regionfs)", REGIONFS_DEVICE);
	else if (err)
		fail(err, "%s: %s", REGIONFS_DEVICE, strerror(-err));
	return err;
}

static int snapshot_region(struct region *region, void *arg)
{
	if (region->mirrored)
		record_region(arg, &region->info, region->unlinked);
	return 0;
}

static void snapshot(void *arg, struct text *text)
{
	region_each(regiond.regions, snapshot_region, text);
}

static void state_failed(void *arg, int error)
{
	log_error("%s can't be written: %s", config.state_dir, strerror(-error));
}

/* The command line beats the state, which beats /etc. */
static void settle_source(void)
{
	const char *kept = state_setting(regiond.state, "source");
	char *copy;

	if (config.source_from == FROM_COMMAND) {
		state_set(regiond.state, "source", config.source);
	} else if (kept && (copy = strdup(kept))) {
		free(config.source);
		config.source = copy;
		config.source_from = FROM_STATE;
	}
}

/* A helper that was killed just now may still hold it. */
static int state_take(void)
{
	char why[512];
	int err = -EBUSY;

	for (int i = 0; i < LOCK_TRIES && err == -EBUSY; i++) {
		err = state_open(&regiond.state, config.state_dir, why, sizeof(why));
		if (err == -EBUSY)
			usleep(LOCK_PAUSE_US);
	}
	if (err) {
		fail(err, "%s", why);
		return err;
	}
	if (state_damaged(regiond.state))
		log_warning("%" PRIu64 " bytes at the end of %s/regions.log were damaged and put aside",
			    state_damaged(regiond.state), config.state_dir);
	settle_source();
	return 0;
}

static int loop_start(void)
{
	int err = loop_open(&regiond.loop, 0);

	if (err) {
		fail(err, "io_uring: %s%s", strerror(-err), err == -EPERM ? " (is kernel.io_uring_disabled set?)" : "");
		return err;
	}
	signals.op.done = signal_came;
	loop_read(regiond.loop, &signals.op, signals.fd, &signals.info, sizeof(signals.info), LOOP_STREAM);
	state_start(regiond.state, regiond.loop, snapshot, state_failed, NULL);
	dial_set_spawner(regiond.spawner);
	return spawner_start(regiond.spawner, regiond.loop);
}

static int netlink_start(void)
{
	int err = netlink_open(&regiond.netlink, regiond.loop, config.name, events_take, events_gap, &regiond);

	if (err == -ENOENT)
		fail(err, "the module regionfs is not loaded: modprobe regionfs");
	else if (err)
		fail(err, "netlink: %s", strerror(-err));
	return err;
}

/* ---- the process ---- */

static void block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC);
}

/* So that files can be given to it when capabilities are gone: of what is ours, by any group that we are in. Hooks are not: their spawner is there. */
static int join_group(gid_t group)
{
	gid_t groups[NGROUPS_MAX + 1];
	int n = getgroups(NGROUPS_MAX, groups);

	if (n < 0)
		return -errno;
	groups[n] = group;
	return setgroups((size_t)n + 1, groups) ? -errno : 0;
}

static void open_to_group(void)
{
	int err = join_group(config.allow_group);

	if (!err && (fchown(run_dir, 0, config.allow_group) || fchmod(run_dir, 0750)))
		err = -errno;
	if (err)
		log_warning("%s can't be opened to its group: %s", config.run_dir, strerror(-err));
}

/* A helper that was killed just now may still have it. */
static int run_dir_wait(void)
{
	run_dir = -EBUSY;
	for (int i = 0; i < LOCK_TRIES && run_dir == -EBUSY; i++) {
		run_dir = run_dir_take(config.run_dir);
		if (run_dir == -EBUSY)
			usleep(LOCK_PAUSE_US);
	}
	if (run_dir < 0) {
		fail(run_dir, "%s%s", config.run_dir, run_dir == -EBUSY ? " is in use by another regiond" : " can't be made");
		return run_dir;
	}
	if (config.have_group)
		open_to_group();
	return 0;
}

/* Where memory regions will be, should there be any: later there is no right to mount it. */
static int mount_memory(void)
{
	char path[4096];
	int err;

	if (!config.confine)
		return 0;
	snprintf(path, sizeof(path), "%s/memory", config.run_dir);
	err = memory_dir_mount(path);
	if (err)
		fail(err, "%s: no tmpfs can be mounted there: %s", path, strerror(-err));
	return err;
}

/* The device is open and so are the sockets to the kernel: that is all that takes a privilege. No other thread is there yet. */
static int give_up_rights(void)
{
	int err = config.confine ? confine(config.any_file) : 0;

	if (err)
		fail(err, "capabilities can't be dropped: %s", strerror(-err));
	return err;
}

static int start(void)
{
	static struct barriers barriers;
	int err = spawner_fork(&regiond.spawner);

	if (err) {
		fail(err, "can't start a process: %s", strerror(-err));
		return err;
	}
	if (config.confine)
		confine_hide();
	barriers_init(&barriers);
	regiond.barriers = &barriers;
	block_signals();
	umask(077);
	resident_start(config.confine);
	if (config.confine)
		pressure_prepare();
	err = run_dir_wait();
	if (!err)
		err = mount_memory();
	if (!err)
		err = state_take();
	if (!err)
		err = loop_start();
	if (!err)
		err = netlink_start();
	if (!err)
		err = regions_open(&regiond.regions, &regiond);
	if (!err)
		err = device_attach();
	return err ? err : give_up_rights();
}

static int read_options(int argc, char **argv)
{
	char why[512];
	int err = config_parse(&config, argc, argv, why, sizeof(why));

	if (err == CONFIG_HELP)
		fputs(config_usage(), stdout);
	else if (err == CONFIG_VERSION)
		printf("regiond %s\n", regionfs_version);
	if (err > 0)
		exit(0);
	if (!err) {
		log_start(config.name, config.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
		err = daemon_start(config.foreground || config.ready_fd >= 0, config.ready_fd);
	}
	if (!err)
		err = config_read(&config, why, sizeof(why));
	if (err) {
		daemon_failed(why);
		log_error("%s", why);
	}
	return err;
}

int main(int argc, char **argv)
{
	int err;

	if (read_options(argc, argv))
		return 2;
	if (start())
		return 1;
	err = loop_run(regiond.loop);
	if (err)
		fail(err, "the event loop broke: %s", strerror(-err));
	netlink_close(regiond.netlink);
	state_close(regiond.state);
	if (regiond.instance_ending && spawner_clear(regiond.spawner, config.run_dir, run_dir))
		run_dir_clear(config.run_dir, run_dir);
	spawner_close(regiond.spawner);
	return exit_status;
}
