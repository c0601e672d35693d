// SPDX-License-Identifier: GPL-2.0
/* STORE does not reclaim: where the helper's cgroup is full, it stores less than asked for, and that is counted. */
#include <sys/mount.h>

#include "lib/env.h"

#define SIZE	(16 * MiB)

static struct env e;

static void run(void)
{
	uint64_t id = env_filled(&e, "r", SIZE, 1), token, stored = 0, missed = 0;
	const uint32_t step = 256 * KiB;
	long ret;

	must(fh_token(e.fh, id, &token) == 0);
	for (uint64_t at = 0; at < SIZE; at += step) {
		pattern_fill(e.fh->store_buf, step, at, 1);
		ret = fh_store(e.fh, id, at, step, token, 0);
		must(ret >= 0);
		stored += ret;
		missed += step - ret;
	}
	ok(stored && missed, "some of it was stored (%llu), some not", (unsigned long long)stored);
	is(env_stat(&e, id, REGIONFS_STAT_STORED_BYTES), stored, "what was is counted");
	is(env_stat(&e, id, REGIONFS_STAT_STORE_SHORT), missed, "and so is what was not");
}

int main(void)
{
	char root[64] = "/tmp/regionfs-memory-XXXXXX", path[128], text[16];

	tap_start(120);
	must(mkdtemp(root) != NULL);
	if (mount("none", root, "cgroup2", 0, NULL))
		tap_skip_all("no cgroup v2");
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", root);
	if (write_file(path, "+memory"))
		tap_skip_all("no memory controller of cgroup v2");
	env_start(&e, "short");
	snprintf(path, sizeof(path), "%s/regionfs-short", root);
	must(mkdir(path, 0755) == 0);
	snprintf(text, sizeof(text), "%d", e.fh->pid);
	snprintf(path, sizeof(path), "%s/regionfs-short/memory.max", root);
	must(write_file(path, "8M") == 0);
	snprintf(path, sizeof(path), "%s/regionfs-short/cgroup.procs", root);
	must(write_file(path, text) == 0);
	run();
	env_end(&e);
	snprintf(path, sizeof(path), "%s/regionfs-short", root);
	rmdir(path);
	umount(root);
	rmdir(root);
	return tap_done();
}
