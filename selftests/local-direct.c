// SPDX-License-Identifier: GPL-2.0
/*
 * LOCAL and O_DIRECT: the kernel copies from the region's file to the program's memory with nothing held. What changes meanwhile makes the copy
 * void, and the helper is asked. The reader is stopped in the middle of its copy: the second page of its buffer is userfaultfd's.
 * timeout: 400
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <linux/userfaultfd.h>

#include "lib/app.h"
#include "lib/env.h"
#include "lib/local.h"

#define CHUNK	(64 * KiB)
#define SIZE	(4 * MiB)
#define BLOCK	(2 * MiB)		/* what is noted together, when it has changed: see dirty.c */
#define PAGE	4096
#define A_WHILE	300			/* ms: nothing happens for so long */

static struct env e;
static uint64_t id;
static char path[128];
static int fd, direct;

/* The reader. */
static struct {
	pthread_t thread;
	uint64_t at;
	ssize_t got;			/* or a negative errno */
	uint32_t from;			/* the log's place when it was stopped */
	int uffd;
	char *buf;
} r;

/* A buffer whose second page nobody has, and the kernel asks for. */
static char *buffer(int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range.len = PAGE, .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *buf = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(buf != MAP_FAILED);
	*uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (*uffd < 0)
		tap_skip_all("there is no userfaultfd");
	reg.range.start = (uintptr_t)buf + PAGE;
	madvise(buf, CHUNK, MADV_NOHUGEPAGE);
	must(ioctl(*uffd, UFFDIO_API, &api) == 0 && ioctl(*uffd, UFFDIO_REGISTER, &reg) == 0);
	return buf;
}

static void *reads(void *arg)
{
	r.got = pread(direct, r.buf, CHUNK, r.at);
	if (r.got < 0)
		r.got = -errno;
	return arg;
}

static bool right(const char *buf, uint64_t at, size_t len, uint64_t seed)
{
	return (seed ? pattern_check(buf, len, at, seed) : pattern_same(buf, len, 0)) < 0;
}

static unsigned int asked(void)
{
	return fh_seen(e.fh, r.from, REGIONFS_OP_READ, id, 0, 0, NULL);
}

/* Starts a reader of the chunk, and returns when it has the first page, and waits for where the second one shall go. */
static void stop_at(uint64_t at)
{
	struct pollfd p = { .events = POLLIN };
	struct uffd_msg m;

	p.fd = r.uffd;
	r.at = at;
	r.from = fh_mark(e.fh);
	memset(r.buf, 0x55, PAGE);
	must(madvise(r.buf + PAGE, PAGE, MADV_DONTNEED) == 0);
	must(pthread_create(&r.thread, NULL, reads, NULL) == 0);
	must(poll(&p, 1, SOON) == 1 && read(r.uffd, &m, sizeof(m)) == sizeof(m));
	ok(right(r.buf, at, PAGE, 1) && !asked(), "a reader is in the middle of its copy");
}

static void let_go(void)
{
	struct uffdio_zeropage zero = { .range = { .start = (uintptr_t)r.buf + PAGE, .len = PAGE } };

	must(ioctl(r.uffd, UFFDIO_ZEROPAGE, &zero) == 0);
}

static bool ends(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return !pthread_timedjoin_np(r.thread, NULL, &t);
}

/* It has the bytes of seed (0: zeroes), and they are the helper's, or not. */
static void ended(uint64_t seed, bool helper, const char *what)
{
	if (!ends(SOON))
		tap_bail("%s: the reader hangs", what);
	is(r.got, CHUNK, "%s: it is read", what);
	ok(right(r.buf, r.at, CHUNK, seed), "%s: the bytes are right", what);
	is(asked() > 0, helper, "%s: the helper was %s", what, helper ? "asked" : "not asked");
}

/* A chunk that nobody has used yet, in the first block. */
static uint64_t fresh(void)
{
	static uint64_t next;

	return next += CHUNK;
}

static void fill_file(uint64_t at, size_t len, uint64_t seed)
{
	static char bytes[CHUNK];

	memset(bytes, 0, len);
	if (seed)
		pattern_fill(bytes, len, at, seed);
	fh_pwrite(e.fh, id, bytes, len, at);
}

static void undisturbed(void)
{
	uint64_t at = fresh();

	stop_at(at);
	let_go();
	ended(1, false, "nothing changes");
	stop_at(at);
	is(app_run(path, APP_DIRECT_WRITE, BLOCK, CHUNK, 2), 0, "a direct write far away");
	is(app_run(path, APP_WRITE, BLOCK + CHUNK, CHUNK, 2), 0, "and a buffered one");
	is(fsync(fd), 0, "which is written");
	let_go();
	ended(1, false, "changes elsewhere");
}

/* The WRITE is on its way when the copy is done. What the file has then is anything. */
static void outstanding(bool buffered)
{
	uint64_t at = fresh();
	pid_t writer;
	long held;

	stop_at(at);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, at, CHUNK, FH_HOLD, 0, 1);
	if (buffered)	/* a direct write drops the range, which alone makes the copy void */
		is(app_run(path, APP_WRITE, at, CHUNK, 2), 0, "a dirty chunk");
	writer = app_start(path, buffered ? APP_FSYNC : APP_DIRECT_WRITE, at, CHUNK, 2);
	held = fh_wait(e.fh, r.from, REGIONFS_OP_WRITE, id, at, CHUNK, FH_HELD, SOON);
	ok(held >= 0, "a WRITE sets out, and is held");
	fill_file(at, CHUNK, 0);
	let_go();
	ok(env_wait_stat(&e, 0, REGIONFS_STAT_OUTSTANDING, 2, SOON), "the reader waits behind it");
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	ended(2, true, "a WRITE that is held");
	is(reap(writer, SOON), 0, "and the writer is told");
}

static void answered(void)
{
	uint64_t at = fresh();

	stop_at(at);
	is(app_run(path, APP_DIRECT_WRITE, at, CHUNK, 2), 0, "a direct write is answered within the copy");
	let_go();
	ended(2, true, "a direct write");
	stop_at(at = fresh());
	is(app_run(path, APP_WRITE, at, CHUNK, 2), 0, "a buffered one");
	is(fsync(fd), 0, "is answered within the copy");
	let_go();
	ended(2, true, "a buffered write");
	stop_at(at = fresh());
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, at, CHUNK, FH_ERROR, -EIO, 1);
	fill_file(at, CHUNK, 0);
	is(app_run(path, APP_DIRECT_WRITE, at, CHUNK, 2), EIO, "one that fails half-way");
	let_go();
	ended(0, true, "a failed write");
	stop_at(at = fresh());
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, at, CHUNK, FH_ERROR, -EIO, 1);
	fill_file(at, CHUNK, 0);
	is(app_run(path, APP_WRITE, at, CHUNK, 2), 0, "a buffered one");
	is(sync_file_range(fd, at, CHUNK, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) ? errno : 0, EIO, "fails, too");
	let_go();
	ended(0, true, "a failed write-back");
	fsync(fd);	/* goes well now, and tells of the error, or not: sync_file_range may have done that */
}

/* What has changed lies in the second block that the reader copies from. */
static void border(void)
{
	uint64_t half = CHUNK / 2, at = BLOCK - half;

	is(app_run(path, APP_DIRECT_WRITE, BLOCK, half, 1), 0, "as it was");
	stop_at(at);
	is(app_run(path, APP_DIRECT_WRITE, BLOCK, half, 3), 0, "a write over the border of a block");
	let_go();
	must(ends(SOON));
	ok(right(r.buf, at, half, 1) && right(r.buf + half, BLOCK, half, 3), "over a border: the bytes are right");
	ok(asked() > 0, "and the helper's");
}

static void taken_away(void)
{
	uint64_t at = fresh();

	stop_at(at);
	is(app_run(path, APP_PUNCH, at, CHUNK, 0), 0, "a punch");
	ok(fh_wait(e.fh, r.from, REGIONFS_OP_DISCARD, id, at, CHUNK, FH_ANSWERED, SOON) >= 0, "is answered within the copy");
	is(fsync(fd), 0, "for good");
	let_go();
	ended(0, true, "a punch");
	at = SIZE - CHUNK;
	is(app_run(path, APP_DIRECT_WRITE, at, CHUNK, 1), 0, "the last chunk");
	stop_at(at);
	must(ftruncate(fd, at) == 0 && ftruncate(fd, SIZE) == 0);
	is(fsync(fd), 0, "is cut off, and comes again");
	let_go();
	ended(0, true, "a truncate");
}

static void locked(void)
{
	uint64_t at = fresh();

	stop_at(at);
	is(env_long(&e, REGIONFS_CMD_LOCK, id), 0, "LOCK does not wait for the reader");
	fill_file(at, CHUNK, 3);
	let_go();
	ok(!ends(A_WHILE), "locked: the reader is not let through");
	is(asked(), 0, "locked: nor is the helper asked");
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "UNLOCK");
	ended(3, false, "LOCK");	/* after UNLOCK it is the file again */
	stop_at(at = fresh());
	is(env_long(&e, REGIONFS_CMD_LOCK, id), 0, "LOCK");
	fill_file(at, CHUNK, 3);
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "and UNLOCK within the copy");
	let_go();
	ended(3, true, "LOCK and UNLOCK");
}

/* Another file, which is overwritten once it is the region's no more. */
static void other_file(void)
{
	char file[64], bytes[CHUNK];
	uint64_t at = fresh();
	int shm;

	snprintf(file, sizeof(file), "/dev/shm/regionfs-direct-%d", getpid());
	shm = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	pattern_fill(bytes, CHUNK, at, 1);
	must(shm >= 0 && pwrite(shm, bytes, CHUNK, at) == CHUNK);
	is(fh_local(e.fh, id, 0, file), 0, "LOCAL of another file");
	stop_at(at);
	is(fh_local(e.fh, id, 0, ""), 0, "is taken back");
	memset(bytes, 0xee, CHUNK);
	must(pwrite(shm, bytes, CHUNK, at) == CHUNK);
	let_go();
	ended(1, true, "LOCAL -1");
	close(shm);
	unlink(file);
}

/* With a map, that takes back what is being copied. */
static void mapped(void)
{
	uint64_t at = fresh();
	char bytes[CHUNK];
	struct local_map l;

	local_map_open(&l, SIZE);
	pattern_fill(bytes, CHUNK, at, 1);
	must(pwrite(l.bytes, bytes, CHUNK, at) == CHUNK);
	__atomic_store_n(&l.map->word[at / CHUNK], REGIONFS_LOCAL_PRESENT, __ATOMIC_SEQ_CST);
	is(fh_local_map(e.fh, id, 0, l.file, l.path, O_RDWR), 0, "LOCAL with a map");
	stop_at(at);
	let_go();
	ended(1, false, "a map that says the same");
	stop_at(at);
	local_map_take_back(&l, SIZE / CHUNK);
	memset(bytes, 0xee, CHUNK);
	must(pwrite(l.bytes, bytes, CHUNK, at) == CHUNK);
	let_go();
	ended(1, true, "a map that takes it back");
	local_map_close(&l);
}

static void same_file(void)
{
	uint64_t at = fresh();

	is(fh_local(e.fh, id, 0, NULL), 0, "LOCAL");
	stop_at(at);
	is(fh_local(e.fh, id, 0, ""), 0, "is taken back");
	is(fh_local(e.fh, id, 0, NULL), 0, "and said of the same file again");
	let_go();
	ended(1, true, "LOCAL again");
}

static void helper_dies(void)
{
	uint64_t at = fresh();

	stop_at(at);
	fh_kill(e.fh);
	let_go();
	ok(!ends(A_WHILE), "without a helper the reader waits");
	must(fh_start(e.fh) == 0);
	ended(1, true, "a dead helper");
	is(fh_local(e.fh, id, 0, NULL), 0, "LOCAL by the new one");
	stop_at(at);
	fh_kill(e.fh);
	must(fh_start(e.fh) == 0);
	is(fh_local(e.fh, id, 0, NULL), 0, "LOCAL of the same file by a third");
	let_go();
	ended(1, true, "another helper");
}

static int reads_for_ever(void *arg)
{
	int uffd;
	char *buf = buffer(&uffd);

	return pread(direct, buf, CHUNK, CHUNK) == CHUNK;
}

static void killed(void)
{
	uint32_t from = fh_mark(e.fh);
	pid_t pid = spawn(reads_for_ever, NULL);

	ok(wait_asleep(pid, SOON), "a reader is stopped for good");
	is(fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, NULL), 0, "in its copy");
	ok(kill_in_time(pid, SOON), "and dies by kill -9");
}

/* A pipe must not get the file's own pages, which change; the kernel's log is looked at by run.sh. */
static void splices(void)
{
	static char bytes[2 * CHUNK];
	off_t at = BLOCK + BLOCK / 2 + 512, from = at;
	size_t got = 0;
	ssize_t n = 0;
	int p[2];

	must(pipe(p) == 0);
	while (got < sizeof(bytes) / 2) {
		n = splice(direct, &at, p[1], NULL, 8 * KiB, 0);
		if (n <= 0)
			break;
		fill_file(at - n, n, 0);
		if (read(p[0], bytes + got, sizeof(bytes) - got) != n)
			break;
		fill_file(at - n, n, 1);
		got += n;
	}
	ok(got >= sizeof(bytes) / 2 && at == from + (off_t)got, "splice of an O_DIRECT file, from byte 512 of a page on");
	ok(right(bytes, from, got, 1), "gives the bytes");
	close(p[0]);
	close(p[1]);
}

/*
 * What is read may not be more than what was written before, though the next helper takes larger requests. What is written beyond that after the
 * reader has begun is seen, too, since it is a batch of its own.
 */
static void larger_requests(const char *name, bool local)
{
	uint64_t at = 3 * MiB / 2, other = env_filled(&e, name, SIZE, 1);
	char file[128], zeroes[PAGE] = "";
	uint32_t from = fh_mark(e.fh);
	pid_t reader;
	long held;

	snprintf(file, sizeof(file), "%s", env_path(&e, name));
	fh_pwrite(e.fh, other, zeroes, PAGE, 0);
	fh_pwrite(e.fh, other, zeroes, PAGE, at);
	fh_kill(e.fh);
	e.fh->request = REGIONFS_REQUEST_MIN;
	must(fh_start(e.fh) == 0);
	fh_rule(e.fh, REGIONFS_OP_WRITE, other, 0, PAGE, FH_HOLD, 0, -1);
	is(app_run(file, APP_WRITE, 0, PAGE, 1), 0, "%s: a dirty page", name);
	reader = app_start(file, APP_DIRECT_READ, 0, BLOCK, 1);
	must(fh_wait(e.fh, from, REGIONFS_OP_WRITE, other, 0, PAGE, FH_HELD, SOON) >= 0);
	ok(wait_asleep(reader, SOON), "%s: a reader waits until it is written", name);
	fh_kill(e.fh);
	e.fh->request = FH_REQUEST;
	from = fh_mark(e.fh);
	must(fh_start(e.fh) == 0);
	held = fh_wait(e.fh, from, REGIONFS_OP_WRITE, other, 0, PAGE, FH_HELD, SOON);
	ok(held >= 0, "%s: and with the next helper", name);
	if (local)
		is(fh_local(e.fh, other, 0, NULL), 0, "%s: whose file is LOCAL", name);
	is(app_run(file, APP_WRITE, at, PAGE, 1), 0, "%s: a dirty page further on", name);
	fh_clear(e.fh);
	must(fh_release(e.fh, held, FH_APPLY, 0) == 0);
	is(reap(reader, SOON), 0, "%s: both are read as they were written", name);
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static volatile bool hog_runs, hog_ends;

static void *hog(void *arg)
{
	struct sched_param p = { .sched_priority = 1 };

	on_cpu(0);
	must(sched_setscheduler(0, SCHED_FIFO, &p) == 0);
	for (hog_runs = true; !hog_ends;)
		;
	return arg;
}

static int reads_late(void *arg)
{
	static char buf[CHUNK] __attribute__((aligned(4096)));
	uint64_t at = *(uint64_t *)arg;

	on_cpu(0);
	return pread(direct, buf, CHUNK, at) != CHUNK || !right(buf, at, CHUNK, 3);
}

/*
 * A reader has waited for write-back, as LOCK has, and only comes to look at the file when LOCK is done: its CPU was taken. All else runs on the
 * other one.
 */
static void late(void)
{
	uint64_t at = fresh();
	pthread_t thread;
	uint32_t from;
	pid_t reader;
	long held;

	from = fh_mark(e.fh);
	fh_rule(e.fh, REGIONFS_OP_WRITE, id, at, CHUNK, FH_HOLD, 0, 1);
	is(app_run(path, APP_WRITE, at, CHUNK, 2), 0, "a dirty chunk");
	reader = spawn(reads_late, &at);
	held = fh_wait(e.fh, from, REGIONFS_OP_WRITE, id, at, CHUNK, FH_HELD, SOON);
	ok(held >= 0 && wait_asleep(reader, SOON), "a reader waits until it is written");
	must(pthread_create(&thread, NULL, hog, NULL) == 0);
	while (!hog_runs)
		usleep(1000);
	env_ask(&e, REGIONFS_CMD_LOCK, id);
	must(env_call(&e) == 0 && fh_release(e.fh, held, FH_APPLY, 0) == 0);
	is(nl_done(&e.nl, e.nl.seq, &e.r, SOON), 0, "LOCK overtakes it");
	fill_file(at, CHUNK, 3);
	hog_ends = true;
	pthread_join(thread, NULL);
	is(reap(reader, A_WHILE), -ETIMEDOUT, "the reader is not let through");
	is(env_simple(&e, REGIONFS_CMD_UNLOCK, id), 0, "UNLOCK");
	is(reap(reader, SOON), 0, "it has the new bytes");
}

/* The hog may have all of its CPU, and the kernel's workers none of it. */
static void late_reader(void)
{
	static const char mask[] = "/sys/devices/virtual/workqueue/cpumask", share[] = "/proc/sys/kernel/sched_rt_runtime_us";

	if (sysconf(_SC_NPROCESSORS_ONLN) != 2 || write_file(mask, "2") || write_file(share, "-1")) {
		tap_skip("a reader that comes late needs two CPUs");
		return;
	}
	on_cpu(1);
	fh_kill(e.fh);
	must(fh_start(e.fh) == 0);
	is(fh_local(e.fh, id, 0, NULL), 0, "LOCAL");
	late();
	write_file(share, "950000");
	write_file(mask, "3");
}

static void moved(void)
{
	stop_at(fresh());
	env_ask(&e, REGIONFS_CMD_MOVED, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 5);
	is(env_call_long(&e), 0, "MOVED");
	let_go();
	must(ends(SOON));
	is(r.got, -ESTALE, "is what the reader is told");
}

int main(void)
{
	tap_start(380);
	env_start(&e, "direct");
	id = env_filled(&e, "r", SIZE, 1);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	direct = env_path_fd(&e, "r", O_RDONLY | O_DIRECT);
	r.buf = buffer(&r.uffd);
	must(env_takeback(&e, 600000) == 0);
	is(fh_local(e.fh, id, 0, NULL), 0, "LOCAL is taken");
	undisturbed();
	outstanding(false);
	outstanding(true);
	answered();
	border();
	splices();
	taken_away();
	locked();
	other_file();
	mapped();
	same_file();
	helper_dies();
	killed();
	larger_requests("more", false);
	larger_requests("more-local", true);
	late_reader();
	moved();
	close(direct);
	close(fd);
	return tap_done();
}
