// SPDX-License-Identifier: GPL-2.0
/* The run directory: one process has it at a time; it goes with the instance, but for the bytes of regions. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "../run-dir.h"

static char top[] = "/tmp/test-run-dir.XXXXXX";
static char dir[64];

static void put(const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	if (file)
		fclose(file);
}

static bool is_there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s%s", dir, *name ? "/" : "", name);
	return !access(path, F_OK);
}

static void make_memory(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory", dir);
	mkdir(path, 0700);
}

static void check_lock(void)
{
	int lock = run_dir_take(dir);
	struct stat st;

	tap_ok(lock >= 0, "it is made, with its parent");
	tap_ok(!stat(dir, &st) && (st.st_mode & 07777) == 0700, "for root alone");
	tap_number(run_dir_take(dir), -EBUSY, "a second one does not get it");
	close(lock);
	lock = run_dir_take(dir);
	tap_ok(lock >= 0, "unless the first has let go");
	close(lock);
}

static void check_clear(void)
{
	int lock = run_dir_take(dir);

	put("control");
	put("drain");
	make_memory();
	run_dir_clear(dir, lock);
	tap_ok(!is_there(""), "nothing is left of it");
	lock = run_dir_take(dir);
	tap_ok(lock >= 0, "it can be made anew");
	put("control");
	make_memory();
	put("memory/bytes");
	run_dir_clear(dir, lock);
	tap_ok(!is_there("control") && is_there("memory/bytes"), "bytes of memory regions stay");
	lock = run_dir_take(dir);
	unlink(strcat(strcpy((char[128]){ "" }, dir), "/memory/bytes"));
	put("leech-x.map");
	run_dir_clear(dir, lock);
	tap_ok(!is_there("memory") && is_there("leech-x.map"), "and what is known of a region on its way here");
}

int main(void)
{
	char command[128];

	if (!mkdtemp(top))
		return 99;
	snprintf(dir, sizeof(dir), "%s/run/one", top);
	check_lock();
	check_clear();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		printf("# %s was not removed\n", top);
	return tap_end();
}
