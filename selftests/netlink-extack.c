// SPDX-License-Identifier: GPL-2.0
/* Every refusal of the control plane has its errno and a sentence; dumps and single answers agree. */
#include "lib/env.h"

static struct env e;
static uint64_t id;

static void refused(int ret, int want, const char *what)
{
	is(ret, want, "%s", what);
	ok(e.nl.message[0], "  says: %s", e.nl.message);
}

static int add(const char *path, uint64_t size, const char *source)
{
	env_ask(&e, REGIONFS_CMD_REGION_ADD, 0);
	if (path)
		nlq_str(&e.q, REGIONFS_A_PATH, path);
	nlq_str(&e.q, REGIONFS_A_SOURCE, source);
	nlq_u64(&e.q, REGIONFS_A_SIZE, size);
	return env_call(&e);
}

static int set_u64(int attr, uint64_t v)
{
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, attr, v);
	return env_call(&e);
}

static int call_at(const char *instance, uint8_t cmd, uint64_t region)
{
	nlq_start(&e.q, &e.nl, cmd, 0);
	if (instance)
		nlq_str(&e.q, REGIONFS_A_INSTANCE, instance);
	if (region)
		nlq_u64(&e.q, REGIONFS_A_REGION, region);
	return env_call(&e);
}

static void names(void)
{
	char many[REGIONFS_NAME_MAX + 2];

	memset(many, 'n', sizeof(many) - 1);
	many[sizeof(many) - 1] = 0;
	refused(call_at(NULL, REGIONFS_CMD_REGION_GET, id), -EINVAL, "no instance");
	refused(call_at("no-such", REGIONFS_CMD_REGION_GET, id), -ENOENT, "an unknown instance");
	refused(call_at(e.name, REGIONFS_CMD_REGION_GET, id + 1000), -ENOENT, "an unknown region");
	refused(call_at(e.name, REGIONFS_CMD_REGION_GET, 0), -EINVAL, "neither region nor path");
	refused(call_at(e.name, REGIONFS_CMD_INSTANCE_NEW, 0), -EEXIST, "an instance twice");
	refused(call_at("a/b", REGIONFS_CMD_INSTANCE_NEW, 0), -EINVAL, "a slash in its name");
	refused(call_at("", REGIONFS_CMD_INSTANCE_NEW, 0), -EINVAL, "an empty name");
	ok(call_at(many, REGIONFS_CMD_INSTANCE_NEW, 0) < 0, "too long a name is refused");
}

static void regions(void)
{
	char source[REGIONFS_SOURCE_MAX + 2];

	memset(source, 's', sizeof(source) - 1);
	source[sizeof(source) - 1] = 0;
	refused(add(NULL, 4096, "fake:"), -EINVAL, "ADD without a path");
	refused(add("r", 4096, "fake:"), -EEXIST, "ADD of a path that is there");
	refused(add("r/x", 4096, "fake:"), -ENOTDIR, "ADD below a file");
	refused(add("", 4096, "fake:"), -EINVAL, "ADD of an empty path");
	refused(add("/abs", 4096, "fake:"), -EINVAL, "ADD of an absolute path");
	refused(add("a/../b", 4096, "fake:"), -EINVAL, "ADD with dots");
	refused(add("huge", 1ull << 63, "fake:"), -EFBIG, "ADD of a negative size");
	ok(add("long", 4096, source) < 0, "too long a source is refused");
	refused(env_flags(&e, id, 1u << 30, 1u << 30), -EOPNOTSUPP, "an unknown region flag");
	refused(env_flags(&e, id, REGIONFS_REGION_FROZEN, REGIONFS_REGION_FROZEN), -EOPNOTSUPP,
		"FROZEN through SET");
	must(set_u64(REGIONFS_A_EPOCH, 7) == 0);
	refused(set_u64(REGIONFS_A_EPOCH, 6), -EINVAL, "an epoch that goes down");
}

static void commands(void)
{
	int ret = call_at(e.name, REGIONFS_CMD_TRACK, id);

	is(ret, -EOPNOTSUPP, "TRACK is kept for later");
	is(call_at(e.name, REGIONFS_CMD_MAX + 7, id), -EOPNOTSUPP, "an unknown command");
	is(call_at(e.name, REGIONFS_CMD_DONE, id), -EOPNOTSUPP, "DONE is not for asking");
	env_ask(&e, REGIONFS_CMD_REGION_GET, id);
	nlq_u32(&e.q, REGIONFS_A_MAX + 9, 1);
	ok(env_call(&e) < 0, "an unknown attribute is refused");
	env_ask(&e, REGIONFS_CMD_REGION_GET, 0);
	nlq_u32(&e.q, REGIONFS_A_REGION, 1);
	ok(env_call(&e) < 0, "an attribute of the wrong length is refused");
	ok(e.nl.message[0], "  says: %s", e.nl.message);
}

static void count_ours(struct nlr *r, void *arg)
{
	if (!strncmp(nlr_str(r, REGIONFS_A_PATH), "many/", 5))
		++*(long *)arg;
}

static void dump(void)
{
	char path[64];
	long seen = 0;

	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "many/%d", i);
		if (!env_region(&e, path, 4096))
			tap_bail("ADD: %s", e.nl.message);
	}
	env_ask(&e, REGIONFS_CMD_REGION_GET, 0);
	is(nl_dump(&e.nl, &e.q, count_ours, &seen), 501, "a dump has every region");
	is(seen, 500, "by its path");
	nlq_start(&e.q, &e.nl, REGIONFS_CMD_REGION_GET, 0);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, "no-such");
	ok(nl_dump(&e.nl, &e.q, NULL, NULL) == -ENOENT, "a dump of an unknown instance is refused");
}

static void one_region(void)
{
	is(env_simple(&e, REGIONFS_CMD_REGION_GET, id), 0, "GET");
	is(nlr_u64(&e.r, REGIONFS_A_REGION), id, "id");
	is(nlr_u64(&e.r, REGIONFS_A_SIZE), MiB, "size");
	is(nlr_u32(&e.r, REGIONFS_A_MODE) & 07777, 0644, "mode");
	is(nlr_u32(&e.r, REGIONFS_A_NLINK), 1, "links");
	ok(!strcmp(nlr_str(&e.r, REGIONFS_A_PATH), "r"), "path");
	ok(!strcmp(nlr_str(&e.r, REGIONFS_A_SOURCE), "fake:"), "source");
	is(env_id(&e, "r"), id, "GET by path");
	is(env_simple(&e, REGIONFS_CMD_INSTANCE_GET, 0), 0, "INSTANCE_GET");
	is(nlr_u32(&e.r, REGIONFS_A_MOUNTS), 1, "mounts");
	is(nlr_u64(&e.r, REGIONFS_A_REGIONS), 1, "regions");
	is(nlr_u32(&e.r, REGIONFS_A_PID), e.fh->pid, "the helper's pid");
	is(nlr_u32(&e.r, REGIONFS_A_ATTACHED), e.fh->s->attach_gen, "its attach generation");
	is(nlr_u64(&e.r, REGIONFS_A_INSTANCE_ID), e.fh->s->instance_id, "the instance's id");
	nlq_start(&e.q, &e.nl, REGIONFS_CMD_INSTANCE_GET, 0);
	ok(nl_dump(&e.nl, &e.q, NULL, NULL) >= 1, "a dump of the instances");
}

static void settings(void)
{
	env_ask(&e, REGIONFS_CMD_INSTANCE_SET, 0);
	nlq_u32(&e.q, REGIONFS_A_TAKEBACK, 3600001);
	refused(env_call(&e), -ERANGE, "a take-back limit of more than an hour");
	nlq_start(&e.q, &e.nl, REGIONFS_CMD_INSTANCE_NEW, 0);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, "extack-new");
	nlq_u32(&e.q, REGIONFS_A_TAKEBACK, UINT32_MAX);
	refused(env_call(&e), -ERANGE, "the same for a new instance");
	is(call_at("extack-new", REGIONFS_CMD_INSTANCE_GET, 0), -ENOENT, "which is not made");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "extack");
	id = env_region(&e, "r", MiB);
	must(id);
	one_region();
	names();
	regions();
	commands();
	settings();
	dump();
	return tap_done();
}
