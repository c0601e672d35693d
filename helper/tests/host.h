/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A host without a kernel: regiond's regions, seeder and leecher, with a registry of regions in place of the module's, for tests
 * of migration. Several hosts share one loop. A test includes it once: it takes the place of netlink.c and control.c.
 */
#ifndef REGIONFS_TESTS_HOST_H
#define REGIONFS_TESTS_HOST_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "control-private.h"
#include "dial.h"
#include "events.h"
#include "handover.h"
#include "netlink.h"
#include "region.h"
#include "regiond.h"
#include "restore.h"
#include "spawner.h"
#include "state-private.h"
#include "tap.h"
#include "turns.h"

#define HOST_REGIONS 16u

extern const struct control_cmd control_peer_cmds[], control_region_cmds[], control_data_cmds[], control_managed_cmds[];

static struct spawner *spawner;
static char dir[] = "/tmp/test-migrate.XXXXXX";

/* ---- the kernel ---- */

struct kernel_region {
	uint64_t id, size, epoch, lineage, dirty, written, write_rate;
	uint32_t mode, flags;
	char path[64], source[4096];
	bool linked, gone;		/* gone: its last user has gone as well */
	struct backend_req destroy;
};

struct netlink {
	struct regiond *regiond;
	struct kernel_region regions[HOST_REGIONS];
	unsigned int nr;
	struct list waiting, held;
	uint8_t hold;			/* calls of this command are not answered until host_release() */
	struct loop_task task;
	bool posted;			/* task */
	unsigned int asked[REGIONFS_CMD_WRITE_RATE + 1];
	uint64_t refuse_freeze;		/* FREEZE of this region fails */
	uint64_t refuse_delete;		/* so does REGION_DEL */
	uint64_t refuse_moved;		/* and MOVED */
	/* from within FREEZE, before it has succeeded */
	void (*freezing)(struct kernel_region *region);
};

/* A killed helper's: it is not listened to. */
static struct netlink no_kernel;

static struct kernel_region *kernel_find(struct netlink *kernel, uint64_t id)
{
	return id && id <= kernel->nr && !kernel->regions[id - 1].gone ? &kernel->regions[id - 1] : NULL;
}

static struct kernel_region *kernel_find_path(struct netlink *kernel, const char *path)
{
	for (unsigned int i = 0; i < kernel->nr; i++)
		if (kernel->regions[i].linked && !strcmp(kernel->regions[i].path, path))
			return &kernel->regions[i];
	return NULL;
}

static void kernel_event(struct netlink *kernel, const struct kernel_region *region, uint32_t event)
{
	struct netlink_attrs attrs = { 0 };

	netlink_set(&attrs, EVENT, event, event);
	netlink_set(&attrs, REGION, region, region->id);
	events_take(kernel->regiond, &attrs);
}

static void kernel_describe(const struct kernel_region *region, struct netlink_attrs *got)
{
	netlink_set(got, REGION, region, region->id);
	netlink_set(got, SIZE, size, region->size);
	netlink_set(got, MODE, mode, region->mode);
	netlink_set(got, EPOCH, epoch, region->epoch);
	netlink_set(got, LINEAGE, lineage, region->lineage);
	netlink_set(got, FLAGS, flags, region->flags);
	netlink_set(got, NLINK, nlink, region->linked);
	if (region->linked)
		netlink_set(got, PATH, path, region->path);
	netlink_set(got, SOURCE, source, region->source);
	netlink_flag(got, STATS);
	got->stats[REGIONFS_STAT_DIRTY_BYTES] = region->dirty;
	got->stats[REGIONFS_STAT_WRITE_BYTES] = region->written;
}

static void kernel_set(struct kernel_region *region, const struct netlink_attrs *attrs)
{
	if (netlink_has(attrs, SIZE))
		region->size = attrs->size;
	if (netlink_has(attrs, MODE))
		region->mode = attrs->mode;
	if (netlink_has(attrs, EPOCH))
		region->epoch = attrs->epoch;
	if (netlink_has(attrs, LINEAGE))
		region->lineage = attrs->lineage;
	if (netlink_has(attrs, SOURCE))
		snprintf(region->source, sizeof(region->source), "%s", attrs->source);
	if (netlink_has(attrs, FLAGS))
		region->flags = (region->flags & ~attrs->flags_mask) | (attrs->flags & attrs->flags_mask);
}

static struct kernel_region *kernel_add(struct netlink *kernel, const struct netlink_attrs *attrs)
{
	struct kernel_region *region = &kernel->regions[kernel->nr++];

	memset(region, 0, sizeof(*region));
	region->id = kernel->nr;
	region->linked = true;
	snprintf(region->path, sizeof(region->path), "%s", attrs->path);
	kernel_set(region, attrs);
	return region;
}

static void destroyed(struct backend_req *req, int error)
{
}

/* The last user is gone as well. */
static int kernel_unlink(struct netlink *kernel, struct kernel_region *region)
{
	if (!region->linked)
		return -ENOENT;
	if (region->flags & (REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED))
		return -EBUSY;
	region->linked = false;
	kernel_event(kernel, region, REGIONFS_EVENT_UNLINKED);
	region->destroy = (struct backend_req){ .op = BACKEND_DESTROY, .loop = loop, .done = destroyed };
	region_submit(kernel->regiond->regions, region->id, &region->destroy);
	return 0;
}

static int kernel_change(struct netlink *kernel, struct kernel_region *region, const struct netlink_call *call)
{
	switch (call->cmd) {
	case REGIONFS_CMD_REGION_DEL:
		if (region->id == kernel->refuse_delete)
			return -EBUSY;
		return kernel_unlink(kernel, region);
	case REGIONFS_CMD_REGION_SET:
		kernel_set(region, &call->attrs);
		return 0;
	case REGIONFS_CMD_WRITEBACK:
		region->written += region->dirty;
		region->dirty = 0;
		return 0;
	case REGIONFS_CMD_FREEZE:
		if (region->id == kernel->refuse_freeze)
			return -EIO;
		region->flags |= REGIONFS_REGION_FROZEN;
		if (kernel->freezing)
			kernel->freezing(region);
		return 0;
	case REGIONFS_CMD_INVALIDATE:
		return 0;
	case REGIONFS_CMD_WRITE_RATE:
		region->write_rate = call->attrs.write_rate;
		return 0;
	case REGIONFS_CMD_THAW:
		region->flags &= ~REGIONFS_REGION_FROZEN;
		return 0;
	case REGIONFS_CMD_LOCK:
		region->flags |= REGIONFS_REGION_LOCKED;
		return 0;
	case REGIONFS_CMD_UNLOCK:
		if (netlink_has(&call->attrs, RANGES) && call->attrs.nr_ranges * sizeof(*call->attrs.ranges) + 4 > UINT16_MAX)
			return -EMSGSIZE;
		region->flags &= ~REGIONFS_REGION_LOCKED;
		return 0;
	case REGIONFS_CMD_MOVED:
		if (region->id == kernel->refuse_moved)
			return -ENOMEM;
		if (call->attrs.epoch <= region->epoch)
			return -EINVAL;
		region->flags |= REGIONFS_REGION_MOVED;
		region->epoch = call->attrs.epoch;
		return 0;
	}
	return -EOPNOTSUPP;
}

static int kernel_dump(const struct netlink *kernel, struct netlink_call *call)
{
	for (unsigned int i = 0; i < kernel->nr; i++) {
		struct netlink_attrs got = { 0 };

		kernel_describe(&kernel->regions[i], &got);
		call->item(call, &got);
	}
	return 0;
}

static int kernel_run(struct netlink *kernel, struct netlink_call *call)
{
	struct kernel_region *region = kernel_find(kernel, call->attrs.region);
	struct netlink_attrs got = { 0 };

	if (netlink_has(&call->attrs, PATH) && !region)
		region = kernel_find_path(kernel, call->attrs.path);

	if (call->cmd == REGIONFS_CMD_REGION_ADD) {
		region = kernel_add(kernel, &call->attrs);
		netlink_set(&got, REGION, region, region->id);
	} else if (call->dump) {
		return kernel_dump(kernel, call);
	} else if (!region) {
		return -ENOENT;
	} else if (call->cmd == REGIONFS_CMD_REGION_GET) {
		kernel_describe(region, &got);
	} else {
		return kernel_change(kernel, region, call);
	}
	if (call->item)
		call->item(call, &got);
	return 0;
}

static void kernel_turn(struct loop_task *task)
{
	struct netlink *kernel = container_of(task, struct netlink, task);
	struct list now, *entry;

	kernel->posted = false;
	list_init(&now);
	list_splice(&now, &kernel->waiting);
	while ((entry = list_pop(&now))) {
		struct netlink_call *call = list_entry(entry, struct netlink_call, list);
		int error;

		if (call->cmd == kernel->hold) {
			list_add(&kernel->held, entry);
			continue;
		}
		error = kernel_run(kernel, call);
		kernel->asked[call->cmd]++;
		call->done(call, error, "");
	}
}

void netlink_call(struct netlink *kernel, struct netlink_call *call)
{
	if (kernel == &no_kernel)
		return;
	list_add(&kernel->waiting, &call->list);
	kernel->task.run = kernel_turn;
	/* also when what waited went with a helper */
	if (!kernel->posted)
		loop_post(loop, &kernel->task);
	kernel->posted = true;
}

int netlink_open(struct netlink **nl, struct loop *of, const char *instance,
		 void (*event)(void *arg, const struct netlink_attrs *attrs), void (*gap)(void *arg), void *arg)
{
	return -EOPNOTSUPP;
}

void netlink_close(struct netlink *nl)
{
}

const char *netlink_event_name(uint32_t event)
{
	return NULL;
}

/* ---- the user ---- */

struct user {
	bool done;
	int error;
	char said[512];
	char answer[8192];		/* what "ok" had, as JSON */
};

void control_put(struct control_client *client, json_t *line, bool optional)
{
	struct user *user = (struct user *)client;
	json_t *error = json_object_get(line, "error"), *ok = json_object_get(line, "ok");
	char *text = ok ? json_dumps(ok, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (!client) {
		free(text);
		json_decref(line);
		return;
	}
	if (text)
		snprintf(user->answer, sizeof(user->answer), "%s", text);
	free(text);
	if (error) {
		user->error = -(int)json_integer_value(json_object_get(error, "errno"));
		snprintf(user->said, sizeof(user->said), "%s", json_string_value(json_object_get(error, "message")));
	}
	json_decref(line);
}

void control_put_text(struct control_client *client, const char *text, size_t len)
{
	(void)client;
	(void)text;
	(void)len;
}

void control_ended(struct control_client *client)
{
	((struct user *)client)->done = true;
}

/* The kernels of these tests do not end their instances, and their channels do not break. */
void regiond_gone(struct regiond *regiond)
{
	(void)regiond;
	abort();
}

void regiond_broken(struct regiond *regiond, int error)
{
	(void)regiond;
	(void)error;
	abort();
}

/* ---- the host ---- */

struct host {
	char name[16], run[64], state[64];
	struct config config;
	struct regiond *regiond;
	struct netlink kernel;
	unsigned int boots;
	bool restored;
};

static int snapshot_region(struct region *region, void *arg)
{
	if (region->mirrored)
		record_region(arg, &region->info, region->unlinked);
	return 0;
}

static void snapshot(void *arg, struct text *text)
{
	region_each(((struct regiond *)arg)->regions, snapshot_region, text);
}

static void state_failed(void *arg, int error)
{
	printf("# state: %d\n", error);
}

static struct regiond *host_regiond(struct host *host)
{
	struct regiond *regiond = calloc(1, sizeof(*regiond));
	char why[256] = "";

	host->regiond = regiond;
	regiond->config = &host->config;
	regiond->loop = loop;
	regiond->netlink = &host->kernel;
	regiond->spawner = spawner;
	regiond->instance_id = 1000 * (1 + host->boots) + (uint64_t)*host->name;
	regiond->attach_gen = 1;
	if (state_open(&regiond->state, host->state, why, sizeof(why)) || regions_open(&regiond->regions, regiond))
		printf("# %s\n", why), exit(99);
	state_start(regiond->state, loop, snapshot, state_failed, regiond);
	host->kernel.regiond = regiond;
	return regiond;
}

static void host_is_restored(struct regiond *regiond, int error)
{
	struct host *host = container_of(regiond->netlink, struct host, kernel);

	host->restored = true;
	if (error)
		printf("# %s is not restored: %d\n", host->name, error);
}

/* Its first helper after a reboot: what the last one's state directory has is restored. In run_dir there is what is left by the test. */
static void __attribute__((unused)) host_boot(struct host *host)
{
	struct regiond *regiond;

	host->boots++;
	host->kernel.nr = 0;
	host->restored = false;
	regiond = host_regiond(host);
	restore_start(regiond, host_is_restored);
	if (!until(host->restored))
		exit(91);
}

/* Its helper hears what its kernel has of the region, as a kernel tells by itself. */
static void host_tell(struct host *host, const struct kernel_region *region)
{
	struct netlink_attrs got = { 0 };

	kernel_describe(region, &got);
	region_update(host->regiond->regions, &got);
}

/* A helper comes to the host; with a kernel that has regions it is the next one. */
static void host_start(struct host *host)
{
	struct regiond *regiond = host_regiond(host);

	regiond->mirror_ready = true;
	if (state_instance(regiond->state) != regiond->instance_id)
		state_reset(regiond->state, regiond->instance_id, false);
	for (unsigned int i = 0; i < host->kernel.nr; i++) {
		if (host->kernel.regions[i].gone)
			continue;
		/* it was the last helper's */
		host->kernel.regions[i].write_rate = 0;
		host_tell(host, &host->kernel.regions[i]);
	}
	state_complete(regiond->state);
}

/* A region that its kernel and its helper have from now on. */
static struct kernel_region __attribute__((unused)) *host_add(struct host *host, const char *path, const char *source, uint64_t size)
{
	struct netlink_attrs attrs = { 0 };
	struct kernel_region *region;

	netlink_set(&attrs, PATH, path, path);
	netlink_set(&attrs, SOURCE, source, source);
	netlink_set(&attrs, SIZE, size, size);
	region = kernel_add(&host->kernel, &attrs);
	host_tell(host, region);
	return region;
}

static struct host *host_new(const char *name)
{
	struct host *host = calloc(1, sizeof(*host));

	snprintf(host->name, sizeof(host->name), "%s", name);
	snprintf(host->run, sizeof(host->run), "%s/%s", dir, name);
	snprintf(host->state, sizeof(host->state), "%s/%s.state", dir, name);
	mkdir(host->run, 0700);
	host->config.name = host->name;
	host->config.run_dir = host->config.credentials = host->run;
	host->config.state_dir = host->state;
	list_init(&host->kernel.waiting);
	list_init(&host->kernel.held);
	return host;
}

/* The locks of what it has open go with it. */
static int kill_region(struct region *region, void *arg)
{
	if (atomic_exchange(&region->state, REGION_GONE) == REGION_READY)
		backend_close(region->backend, NULL, NULL);
	return 0;
}

/* Its helper is killed: what that has under way goes on, but nobody hears of it, and its state is as it was. */
static void host_kill(struct host *host)
{
	struct state *state = host->regiond->state;

	int null = open("/dev/null", O_RDWR), elsewhere = open(host->run, O_RDONLY);

	/* the lock goes; what it writes from now on leads nowhere */
	close(state->lock_fd);
	state->lock_fd = -1;
	dup2(null, state->fd);
	dup2(elsewhere, state->dir_fd);
	close(null);
	close(elsewhere);
	host->regiond->netlink = &no_kernel;
	host->regiond->stopping = true;
	region_each(host->regiond->regions, kill_region, NULL);
	host->kernel.hold = 0;
	list_init(&host->kernel.held);
	list_init(&host->kernel.waiting);
}

static void __attribute__((unused)) host_release(struct host *host)
{
	struct list *entry;

	host->kernel.hold = 0;
	while ((entry = list_pop(&host->kernel.held)))
		netlink_call(&host->kernel, list_entry(entry, struct netlink_call, list));
}

/* regionctl COMMAND, as it was resolved; the answer comes to user. Takes args. */
static void host_begin(struct host *host, struct user *user, const char *name, json_t *args)
{
	const struct control_cmd *const tables[] = { control_peer_cmds, control_region_cmds, control_data_cmds, control_managed_cmds };
	const struct control_cmd *cmd = NULL;
	const char *path = json_string_value(json_object_get(args, "region"));
	struct control_call *call = calloc(1, sizeof(*call));

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct control_cmd *at = tables[i]; at->name; at++)
			cmd = strcmp(at->name, name) ? cmd : at;
	memset(user, 0, sizeof(*user));
	call->regiond = host->regiond;
	call->cmd = cmd;
	call->args = args;
	call->client = (struct control_client *)user;
	call->region = path ? region_find_path(host->regiond->regions, path) : NULL;
	/* as regiond does before that */
	if (control_takes(call))
		cmd->run(call);
}

/* The same, to its end. */
static int __attribute__((unused)) host_do(struct host *host, const char *name, json_t *args)
{
	struct user user;

	host_begin(host, &user, name, args);
	if (!until(user.done))
		return -ETIMEDOUT;
	if (user.error)
		printf("# %s on %s: %s\n", name, host->name, user.said);
	return user.error;
}

/* regionctl resolve, to its end. What is changing its state just then says so, and does not for long. Takes args. */
static int __attribute__((unused)) host_resolve(struct host *host, json_t *args)
{
	int error = 0;

	until((error = host_do(host, "resolve", json_deep_copy(args))) != -EBUSY);
	json_decref(args);
	return error;
}

static __attribute__((unused)) struct kernel_region *host_region(struct host *host, const char *path)
{
	return kernel_find_path(&host->kernel, path);
}

struct program {
	struct backend_req req;
	bool done;
	int error;
};

static void program_done(struct backend_req *req, int error)
{
	struct program *program = container_of(req, struct program, req);

	program->error = error;
	program->done = true;
}

/* A program's request, to its end. -ETIMEDOUT when it waits for longer. */
static int __attribute__((unused)) host_request_within(int ms, struct host *host, uint64_t id, enum backend_op op, uint64_t offset, uint64_t length,
						       void *data)
{
	struct program *program = calloc(1, sizeof(*program));
	int error = -ETIMEDOUT;

	program->req = (struct backend_req){
		.op = op, .offset = offset, .length = length, .arg = op == BACKEND_RESIZE ? length : 0, .data = data,
		.flags = BACKEND_DEMAND, .attach_gen = 1, .epoch = 1, .loop = loop, .done = program_done,
	};
	region_submit(host->regiond->regions, id, &program->req);
	if (within(ms, program->done))
		error = program->error;
	if (program->done)
		free(program);
	return error;
}

static int __attribute__((unused)) host_request(struct host *host, uint64_t id, enum backend_op op, uint64_t offset, uint64_t length, void *data)
{
	return host_request_within(60000, host, id, op, offset, length, data);
}

/* What stat says of the migration's KEY; "" when there is none. */
static const char *host_says(struct host *host, const char *path, const char *key)
{
	struct region *region = region_find_path(host->regiond->regions, path);
	json_t *show = region ? handover_show(region) : NULL;
	static char said[4][256];
	static unsigned int turn;
	char *to = said[turn++ % 4];

	*to = 0;
	if (json_string_value(json_object_get(show, key)))
		snprintf(to, sizeof(said[0]), "%s", json_string_value(json_object_get(show, key)));
	json_decref(show);
	if (region)
		region_put(region);
	return to;
}

static bool __attribute__((unused)) host_is(struct host *host, const char *path, const char *state)
{
	return !strcmp(host_says(host, path, "state"), state);
}

static bool hosts_open(void)
{
	return mkdtemp(dir) && !spawner_fork(&spawner) && !loop_open(&loop, 0) && !spawner_start(spawner, loop);
}

/* main's last line. Hosts end as regiond does, with all that they have. */
static int hosts_end(void)
{
	char command[128];
	int status;

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		printf("# %s was not removed\n", dir);
	status = tap_end();
	fflush(stdout);
	_exit(status);
}

#endif
