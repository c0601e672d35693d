// SPDX-License-Identifier: GPL-2.0
/* Ten thousand regions in directories: listing ends soon, memory of an idle region is told. */
#include <dirent.h>

#include "lib/env.h"

#define REGIONS	10000
#define DIRS	100

static struct env e;

static long mem_kib(const char *what)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kib = atol(line + strlen(what) + 1);
	if (f)
		fclose(f);
	return kib;
}

static int list(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *one;
	int n = 0;

	while (d && (one = readdir(d)))
		n += one->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static int count_all(void)
{
	char path[128];
	int n = 0;

	for (int i = 0; i < DIRS; i++) {
		snprintf(path, sizeof(path), "%s/dir%d", e.dir, i);
		n += list(path);
	}
	return n;
}

static void add_all(void)
{
	char path[64];

	for (int i = 0; i < REGIONS; i++) {
		snprintf(path, sizeof(path), "dir%d/region%d", i % DIRS, i);
		if (!env_region(&e, path, GiB))
			tap_bail("ADD %s: %s", path, e.nl.message);
	}
}

static void report(long kib, long long ms, const char *what)
{
	tap_note("%s: %lld ms", what, ms);
	if (kib)
		tap_note("memory: %ld bytes per idle region", kib * 1024 / REGIONS);
}

int main(void)
{
	long before, after;
	long long start;
	char path[128];
	struct stat st;

	tap_start(280);
	env_start(&e, "many");
	before = mem_kib("Slab:");
	add_all();
	after = mem_kib("Slab:");
	start = now_ms();
	is(list(e.dir), DIRS, "the top has its directories");
	is(count_all(), REGIONS, "every region is listed");
	report(after - before, now_ms() - start, "listing of all");
	ok(now_ms() - start < SOON, "soon");
	start = now_ms();
	env_ask(&e, REGIONFS_CMD_REGION_GET, 0);
	is(nl_dump(&e.nl, &e.q, NULL, NULL), REGIONS, "the dump has every region");
	report(0, now_ms() - start, "dump of all");
	snprintf(path, sizeof(path), "%s/dir%d/region%d", e.dir, 9999 % DIRS, 9999);
	is(stat(path, &st) ?: st.st_size, GiB, "the last one is found");
	start = now_ms();
	is(env_umount(&e), 0, "unmount");
	env_end(&e);
	report(0, now_ms() - start, "end of the instance");
	return tap_done();
}
