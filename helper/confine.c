// SPDX-License-Identifier: GPL-2.0
/* confine: see confine.h. Capabilities by the bare system calls: it takes no library to have none. */
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"
#include "log.h"

static bool confined, overrides;

void confine_hide(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		log_warning("can't be kept out of core dumps: %s", strerror(errno));
}

/* A thread that was made before would keep all; those of io_uring, which run our requests with what we have then, do not outlive this either. */
static int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += *entry->d_name != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* Needs CAP_SETPCAP, so it comes first. Without it, and with no_new_privs, the set cannot give anything either. */
static void drop_bounding(void)
{
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) {
			log_debug("the bounding set of capabilities stays: %s", strerror(errno));
			return;
		}
}

static int drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2], sets[2] = { 0 };

	if (syscall(SYS_capget, &head, now))
		return -errno;
	for (int i = 0; i < 2; i++)
		sets[i].effective = sets[i].permitted = now[i].permitted & (uint32_t)(keep >> (32 * i));
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) || syscall(SYS_capset, &head, sets))
		return -errno;
	return 0;
}

int confine(bool any_file)
{
	int err;

	if (count_threads() > 1)
		return -EBUSY;
	drop_bounding();
	err = drop_capabilities(any_file ? 1ULL << CAP_DAC_OVERRIDE : 0);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		return err;
	confined = true;
	overrides = any_file;
	err = confine_calls();
	if (err)
		log_warning("this kernel takes no filter of system calls: %s", strerror(-err));
	return 0;
}

const char *confine_hint(int error)
{
	if (!confined || overrides || (error != -EACCES && error != -EPERM))
		return "";
	return " (regiond has given up its right to other users' files: see --any-file)";
}
