// SPDX-License-Identifier: GPL-2.0
/*
 * The scripted helper is killed COUNT times (default 4) under a parallel load with live mappings: every
 * byte is verified, no process is stuck. kill-helper-load.sh does the same with regiond.
 * timeout: 600
 */
#include <libgen.h>

#include "lib/env.h"

#define LOADS	3

static struct env e;
static char fsx[4096];

static int load(void *arg)
{
	static char file[160], seed[32];

	snprintf(file, sizeof(file), "%s/load-%s", e.dir, (char *)arg);
	snprintf(seed, sizeof(seed), "%s%s", (char *)arg, getenv("SEED") ?: "");
	execl(fsx, fsx, "-q", "-n", "0", "-s", seed, "-l", "3000000", file, NULL);
	return errno;
}

/* The helper has done something since the mark: the load runs, it is not only waiting. */
static bool works(uint32_t from)
{
	return fh_wait(e.fh, from, REGIONFS_OP_WRITE, 0, 0, 0, FH_ANSWERED, SOON) >= 0;
}

int main(int argc, char **argv)
{
	static char *names[LOADS] = { "1", "2", "3" };
	long count = getenv("COUNT") ? atol(getenv("COUNT")) : 4;
	bool good = true;
	pid_t pid[LOADS];

	tap_start(getenv("REGIONFS_SOAK") ? 0 : 600);
	snprintf(fsx, sizeof(fsx), "%s/fsx", dirname(argv[0]));
	if (access(fsx, X_OK))
		tap_skip_all("fsx is not built");
	env_start(&e, "restart-load");
	for (int i = 0; i < LOADS; i++)
		pid[i] = spawn(load, names[i]);
	for (long round = 0; round < count && good; round++) {
		good = works(fh_mark(e.fh)) && works(fh_mark(e.fh));
		if (round % 2)
			fh_rule(e.fh, REGIONFS_OP_WRITE, 0, 0, 0, FH_APPLY_DIE, 0, 1);
		good &= !(round % 2) || !fh_wait_dead(e.fh, SOON);
		fh_kill(e.fh);
		fh_clear(e.fh);
		good &= !fh_start(e.fh);
	}
	ok(good, "%ld deaths, the load went on after each", count);
	for (int i = 0; i < LOADS; i++) {
		kill(pid[i], SIGTERM);
		is(reap(pid[i], 4 * SOON), 0, "load %d: every byte was right to the end", i + 1);
	}
	return tap_done();
}
