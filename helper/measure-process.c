// SPDX-License-Identifier: GPL-2.0
/* measure: CPU time and context switches of a process. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

/* Voluntary and others. A negative errno: it is gone. */
static int read_switches(pid_t pid, const char *tid, uint64_t *switches)
{
	unsigned long long n;
	char path[64], line[256];
	const char *at;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", (int)pid, tid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	*switches = 0;
	while (fgets(line, sizeof(line), file)) {
		at = strstr(line, "voluntary_ctxt_switches:");	/* "nonvoluntary..." has it, too */
		if (at && sscanf(at, "voluntary_ctxt_switches: %llu", &n) == 1)
			*switches += n;
	}
	fclose(file);
	return 0;
}

static void read_tasks(pid_t pid, DIR *dir, struct measure_process *process)
{
	struct dirent *entry;

	process->nr = 0;
	while (process->nr < MEASURE_TASKS && (entry = readdir(dir))) {
		process->task[process->nr].tid = (pid_t)atoi(entry->d_name);
		if (process->task[process->nr].tid > 0 && !read_switches(pid, entry->d_name, &process->task[process->nr].switches))
			process->nr++;
	}
}

/* /proc/PID/stat has the same time, in ticks of 10 ms. */
static int read_clock(pid_t pid, uint64_t *ns)
{
	struct timespec ts;
	clockid_t clock;
	int err = clock_getcpuclockid(pid, &clock);

	if (err)
		return -err;
	if (clock_gettime(clock, &ts))
		return -errno;
	*ns = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	return 0;
}

/* Those of our own threads that have ended count, too. */
static int read_own(struct measure_process *process)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used))
		return -errno;
	process->nr = 1;
	process->task[0].tid = getpid();
	process->task[0].switches = (uint64_t)used.ru_nvcsw + (uint64_t)used.ru_nivcsw;
	return 0;
}

int measure_process(pid_t pid, struct measure_process *process)
{
	char path[64];
	DIR *dir;
	int err = read_clock(pid, &process->cpu_ns);

	if (err || pid == getpid())
		return err ? err : read_own(process);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	read_tasks(pid, dir, process);
	closedir(dir);
	return 0;
}

static uint64_t switches_of(const struct measure_process *process, pid_t tid)
{
	for (size_t i = 0; i < process->nr; i++)
		if (process->task[i].tid == tid)
			return process->task[i].switches;
	return 0;
}

struct measure_usage measure_used(const struct measure_process *before, const struct measure_process *after)
{
	struct measure_usage usage = { .cpu_ns = after->cpu_ns - before->cpu_ns };

	for (size_t i = 0; i < after->nr; i++)
		usage.switches += after->task[i].switches - switches_of(before, after->task[i].tid);
	return usage;
}
