// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once in what a helper does to begin and to end, and in commands that are answered at once: the device is opened, attached (which may make the
 * instance) and closed, TOKEN, STORE, LOCAL.
 * timeout: 300
 */
#include "lib/chan.h"
#include "lib/failnth-file.h"
#include "lib/fakehelper-child.h"

static struct chan c;
static bool is_open;
static uint64_t place;		/* where STORE puts its page */
static uint64_t other_id;

static void closed(void)
{
	if (is_open)
		chan_close(&c);
	is_open = false;
}

static int open_device(void)
{
	int fd = open(REGIONFS_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return close(fd) ? -errno : 0;
}

static void opened(void)
{
	nthother_unmount();
	closed();
	must(chan_open(&c, 8) == 0);
	is_open = true;
	c.at.features = REGIONFS_F_STORE | REGIONFS_F_LOCAL_STORE | REGIONFS_F_ANY_ADDR;
}

static void opened_anew(void)
{
	opened();
	nthother_start();
}

/* A device that was not attached is of no use: it is closed, and another one opened. */
static int attach(void)
{
	int err = chan_attach(&c, OTHER, 4, 4);
	uint32_t flags = c.at.flags;

	if (!err)
		return 0;
	opened();
	c.at.flags = flags;
	return err;
}

/* As regiond does it: the instance is made with it. */
static void opened_alone(void)
{
	opened();
	nthother_stop();
	c.at.flags = REGIONFS_ATTACH_CREATE;
}

static int close_device(void)
{
	closed();
	return 0;
}

static void attached(void)
{
	closed();
	opened_anew();
	must(!attach());
}

/* One for all that follow. */
static void attached_once(void)
{
	attached();
	must(!nthother_mount());
	nthother_ask(REGIONFS_CMD_REGION_ADD);
	nlq_str(&nf.e.q, REGIONFS_A_PATH, "s");
	nlq_u64(&nf.e.q, REGIONFS_A_SIZE, GiB);
	must(!env_call(&nf.e));
	other_id = nlr_u64(&nf.e.r, REGIONFS_A_REGION);
}

static int token(void)
{
	static struct regionfs_token t;

	t = (struct regionfs_token){ .region = other_id };
	return chan_sync(&c, REGIONFS_IO_TOKEN, &(struct regionfs_io_cmd){ .addr = (uintptr_t)&t });
}

static void next_place(void)
{
	place += MiB;
}

static int store(void)
{
	static struct regionfs_store s;
	int n;

	s = (struct regionfs_store){
		.region = other_id, .offset = place, .length = 65536, .addr = (uintptr_t)nf.buf, .token = 1ull << 40,
	};
	n = chan_sync(&c, REGIONFS_IO_STORE, &(struct regionfs_io_cmd){ .addr = (uintptr_t)&s });
	return n < 0 ? n : 0;
}

/* In a child, since the helper may not read. There is nobody to ask, so what was not stored is waited for in vain. */
static int read_stored(void *arg)
{
	char path[80], got[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/s", nthother_dir);
	fd = open(path, O_RDONLY);
	if (pread(fd, got, sizeof(got), place + 61440) != sizeof(got))
		return 1;
	return memcmp(got, nf.buf + 61440, sizeof(got)) ? 2 : 0;
}

/* What was left out for lack of memory is no error. */
static bool is_stored(void)
{
	pid_t pid;
	int ret;

	if (store())
		return false;
	pid = spawn(read_stored, NULL);
	ret = reap(pid, 5000);
	if (ret == -ETIMEDOUT)
		kill_in_time(pid, SOON);
	return !ret;
}

static int local(void)
{
	static struct regionfs_local l;

	l = (struct regionfs_local){ .region = other_id, .fd = fh_backing(nf.e.fh, nf.id) };
	int err = chan_sync(&c, REGIONFS_IO_LOCAL, &(struct regionfs_io_cmd){ .addr = (uintptr_t)&l });

	close(l.fd);
	return err;
}

static const struct failnth_op ops[] = {
	{ "opening the device", NULL, open_device, NULL },
	{ "ATTACH", opened_anew, attach, NULL },
	{ "ATTACH, and a new instance", opened_alone, attach, NULL },
	{ "closing the device", attached, close_device, NULL },
};

static const struct failnth_op attached_ops[] = {
	{ "TOKEN", NULL, token, NULL },
	{ "STORE", next_place, store, is_stored },
	{ "LOCAL", NULL, local, NULL },
};

int main(void)
{
	tap_start(1100);
	nthfile_start("fail-nth-device");
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		failnth_run(&ops[i]);
	attached_once();
	for (size_t i = 0; i < sizeof(attached_ops) / sizeof(attached_ops[0]); i++)
		failnth_run(&attached_ops[i]);
	nthother_unmount();
	closed();
	nthother_stop();
	return nthfile_done();
}
