// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations with the scripted helper beneath, which is killed in between, holds WRITEs past the
 * take-back limit and fails some: the kernel's half alone. COUNT operations (default 500), from SEED on.
 * timeout: 600
 */
#include <libgen.h>

#include "lib/env.h"

static struct env e;
static char fsx[4096];

static pid_t start_fsx(const char *name, long count, long seed)
{
	static char file[160], n[32], s[32];
	pid_t pid;

	snprintf(file, sizeof(file), "%s", env_path(&e, name));
	snprintf(n, sizeof(n), "%ld", count);
	snprintf(s, sizeof(s), "%ld", seed);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(fsx, fsx, "-n", n, "-s", s, file, NULL);
		_exit(errno);
	}
	return pid;
}

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? atol(text) : otherwise;
}

/* What happens to the helper while fsx runs. */
static void trouble(unsigned int round, uint64_t seed)
{
	switch (pattern_word(seed, round) % 4) {
	case 0:
		fh_kill(e.fh);
		fh_clear(e.fh);
		must(fh_start(e.fh) == 0);
		break;
	case 1:
		fh_rule(e.fh, REGIONFS_OP_WRITE, 0, 0, 0, FH_HOLD, 0, 1);
		break;
	case 2:
		fh_release_all(e.fh);
		break;
	default:
		fh_rule(e.fh, REGIONFS_OP_READ, 0, 0, 0, FH_ANY_ADDR, 0, 3);
	}
	for (int i = 0; i < FH_RULES; i++)
		if (!e.fh->s->rule[i].left)
			e.fh->s->rule[i].active = 0;
}

int main(int argc, char **argv)
{
	long count = number("COUNT", 500), seed = number("SEED", 1);
	unsigned int round = 0;
	int ret;
	pid_t pid;

	tap_start(getenv("REGIONFS_SOAK") ? 0 : 600);
	snprintf(fsx, sizeof(fsx), "%s/fsx", dirname(argv[0]));
	if (access(fsx, X_OK))
		tap_skip_all("fsx is not built");
	env_start(&e, "fsx");
	must(env_takeback(&e, 300) == 0);
	e.fh->queues = 4;		/* from the first restart on */
	pid = start_fsx("calm", count, seed);
	is(reap(pid, count * 1000 + SOON), 0, "%ld operations, seed %ld", count, seed);
	pid = start_fsx("troubled", count, seed + 1);
	while ((ret = reap(pid, 300)) == -ETIMEDOUT)
		trouble(round++, seed);
	is(ret, 0, "%ld operations while the helper had trouble %u times", count, round);
	return tap_done();
}
