// SPDX-License-Identifier: GPL-2.0
/*
 * Random netlink messages and io_uring commands for COUNT seconds (default 10) from SEED on: all refused or
 * harmless. Beside it a good helper serves, and its data are verified all the time.
 * timeout: 600
 */
#include <pthread.h>
#include <sys/wait.h>

#include "lib/chan.h"
#include "lib/env.h"

#define PREY	"hostile-prey"	/* instances that the attackers may do anything to: this and a digit */
#define ROUND	500		/* attacks of one process */

static struct env e;
static uint64_t rng;

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t limit)
{
	return (next() >> 11) % limit;
}

/* Numbers that are near something interesting. */
static uint64_t odd_number(void)
{
	static const uint64_t odd[] = {
		0, 1, 2, 4095, 4096, 4097, 65535, 1ull << 20, 1ull << 31, (1ull << 32) - 1, 1ull << 32,
		1ull << 62, (1ull << 63) - 1, 1ull << 63, ~0ull, ~0ull - 4095,
	};

	return below(2) ? odd[below(sizeof(odd) / sizeof(odd[0]))] : next() >> below(64);
}

static const char *prey_name(void)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s%llu", PREY, (unsigned long long)below(3));
	return name;
}

static void random_attr(struct nlq *q)
{
	char junk[512];
	uint32_t len = below(2) ? (uint32_t[]){ 0, 4, 8, 16 }[below(4)] : below(sizeof(junk));
	uint64_t v = odd_number();

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = next();
	memcpy(junk, &v, sizeof(v));
	if (below(4) == 0)
		snprintf(junk, sizeof(junk), "d%llu/f%llu", (unsigned long long)below(3),
			 (unsigned long long)below(5));
	nlq_bin(q, below(REGIONFS_A_MAX + 3), junk, len);
}

/* The right attributes of a command, most of the time, with a few random ones. */
static void netlink_message(struct nl *nl, struct nlq *q)
{
	uint8_t cmd = below(8) ? below(REGIONFS_CMD_MAX + 2) : next();
	int extra = below(6);

	nlq_start(q, nl, cmd, below(4) ? 0 : NLM_F_DUMP);
	if (below(16))
		nlq_str(q, REGIONFS_A_INSTANCE, prey_name());
	if (below(2))
		nlq_u64(q, REGIONFS_A_REGION, below(10));
	else if (below(2))
		nlq_str(q, REGIONFS_A_PATH, (char[]){ 'f', '0' + below(5), 0 });
	if (below(2))
		nlq_u64(q, REGIONFS_A_SIZE, odd_number());
	if (below(4) == 0)
		nlq_u32(q, REGIONFS_A_DEADLINE, below(200));
	while (extra--)
		random_attr(q);
	if (below(10) == 0)
		q->len = NLMSG_HDRLEN + below(q->len - NLMSG_HDRLEN + 1);
	if (below(10) == 0)
		q->buf[NLMSG_HDRLEN + below(q->len)] = next();
}

static int attack_netlink(void *arg)
{
	static struct nlq q;
	static struct nl nl;
	static char sink[64 << 10];
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };

	rng = (uintptr_t)arg;
	alarm(60);
	if (nl_open(&nl))
		return 1;
	for (int i = 0; i < ROUND; i++) {
		struct nlmsghdr *h = (void *)q.buf;

		netlink_message(&nl, &q);
		h->nlmsg_len = below(20) ? q.len : below(q.len + 40);
		sendto(nl.fd, q.buf, q.len, 0, (void *)&to, sizeof(to));
		while (recv(nl.fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	return 0;
}

/* Memory that the kernel may write to when an address is right. */
static char *arena;
#define ARENA	(4 * MiB)
static int memory_fd;

static uint64_t odd_address(void)
{
	return below(4) ? (uintptr_t)arena + below(ARENA / 64) * 64 : odd_number();
}

static void random_attach(struct regionfs_attach *a)
{
	*a = (struct regionfs_attach){
		.size = sizeof(*a), .abi = REGIONFS_ABI, .nr_queues = 1 + below(3),
		.depth = 1 + below(8), .desc_addr = (uintptr_t)arena, .features = next(),
		.flags = below(2),
	};
	snprintf((char *)a->name, sizeof(a->name), "%s", below(8) ? prey_name() : e.name);
	if (below(3) == 0)
		((uint8_t *)a)[below(sizeof(*a))] = next();
}

static uint64_t random_struct(void)
{
	char *p = arena + below(16) * 4096;
	struct regionfs_store *s = (void *)p;

	switch (below(5)) {
	case 0:
		random_attach((void *)p);
		break;
	case 1:
		*s = (struct regionfs_store){
			.region = below(10), .offset = odd_number(), .addr = odd_address(),
			.token = odd_number(), .epoch = below(2), .length = odd_number(),
			.flags = below(8) ? 0 : next(),
		};
		break;
	case 2:
		return odd_address();
	case 3:	/* any descriptor that there is: the device, a ring, a pipe; or a file on a tmpfs */
		*(struct regionfs_local *)p = (struct regionfs_local){
			.region = below(10), .epoch = below(2), .fd = below(3) ? memory_fd : (int)below(20) - 1,
			.flags = below(8) ? 0 : next(),
		};
		break;
	default:
		for (int i = 0; i < 64; i++)
			p[i] = next();
	}
	return (uintptr_t)p;
}

static void random_command(struct chan *c)
{
	static const uint32_t ops[] = {
		REGIONFS_IO_ATTACH, REGIONFS_IO_FETCH, REGIONFS_IO_COMMIT_AND_FETCH,
		REGIONFS_IO_COMMIT, REGIONFS_IO_STORE, REGIONFS_IO_TOKEN, REGIONFS_IO_LOCAL,
	};
	uint32_t op = below(16) ? ops[below(7)] : next();
	struct regionfs_io_desc *desc = (void *)arena;
	uint16_t tag = below(8) ? below(16) : next();
	struct regionfs_io_cmd cmd = {
		.addr = op == REGIONFS_IO_FETCH ? odd_address() : random_struct(),
		.cookie = below(2) ? desc[tag % 16].id : next(),
		.error = below(2) ? 0 : next(), .tag = tag,
	};
	struct io_uring_sqe *sqe = chan_sqe(c, op, &cmd, next());

	if (!sqe)
		return;
	if (below(10) == 0)
		sqe->flags |= (uint8_t[]){ IOSQE_ASYNC, IOSQE_IO_LINK, IOSQE_IO_DRAIN }[below(3)];
	if (below(50) == 0)
		sqe->len = next();
	if (below(4) == 0)
		io_uring_submit(&c->ring);
}

static void *other_thread(void *arg)
{
	struct chan c = *(struct chan *)arg;

	if (io_uring_queue_init(16, &c.ring, 0))
		return NULL;
	for (int i = 0; i < 20; i++)
		random_command(&c);
	io_uring_submit(&c.ring);
	io_uring_queue_exit(&c.ring);
	return NULL;
}

static void one_ring(void)
{
	struct io_uring_params p = { .flags = below(20) ? 0 : IORING_SETUP_SQPOLL };
	struct io_uring_cqe *cqe;
	struct chan c = { .fd = open(REGIONFS_DEVICE, O_RDWR) };
	pthread_t thread;

	if (c.fd < 0 || io_uring_queue_init_params(64, &c.ring, &p))
		return;
	random_attach(&c.at);
	c.at.nr_queues = 2;
	if (below(4))
		chan_sqe(&c, REGIONFS_IO_ATTACH,
			 &(struct regionfs_io_cmd){ .addr = (uintptr_t)&c.at }, 0);
	for (int i = below(60); i > 0; i--) {
		random_command(&c);
		while (!io_uring_peek_cqe(&c.ring, &cqe))
			io_uring_cqe_seen(&c.ring, cqe);
	}
	if (below(8) == 0 && !pthread_create(&thread, NULL, other_thread, &c))
		pthread_join(thread, NULL);
	if (below(8) == 0 && fork() == 0)
		_exit(0);
	if (below(2))
		close(c.fd);
	io_uring_submit(&c.ring);
	if (below(2))
		io_uring_queue_exit(&c.ring);
	if (below(8) == 0)
		raise(SIGKILL);
}

static int attack_uring(void *arg)
{
	rng = (uintptr_t)arg;
	alarm(60);
	signal(SIGCHLD, SIG_IGN);
	arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory_fd = memfd_create("hostile", 0);
	if (memory_fd < 0 || ftruncate(memory_fd, below(MiB)))
		return 1;
	for (int i = 0; i < 20; i++)
		one_ring();
	return 0;
}

/* The prey has a reader or writer at times, so that the attackers are handed requests. */
static int use_prey(void *arg)
{
	char dir[64], path[96], buf[4096];
	int fd;

	rng = (uintptr_t)arg;
	alarm(2);
	signal(SIGALRM, SIG_DFL);
	snprintf(dir, sizeof(dir), "/tmp/%s", prey_name());
	snprintf(path, sizeof(path), "%s/f%llu", dir, (unsigned long long)below(5));
	fd = open(path, O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		return 0;
	if (pwrite(fd, buf, sizeof(buf), below(100) * 4096) < 0 || pread(fd, buf, 1, below(400000)) < 0)
		return 0;
	return fsync(fd) ? 0 : 0;
}

static void command(const char *instance, uint8_t cmd)
{
	nlq_start(&e.q, &e.nl, cmd, 0);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, instance);
	nlq_flag(&e.q, REGIONFS_A_DISCARD);
	if (cmd == REGIONFS_CMD_INSTANCE_STOP)
		nl_call_long(&e.nl, &e.q, &e.r);
	else
		nl_call(&e.nl, &e.q, NULL);
}

static void set_out_prey(void)
{
	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), PREY "%d", i);
		nlq_start(&e.q, &e.nl, REGIONFS_CMD_INSTANCE_NEW, 0);
		nlq_str(&e.q, REGIONFS_A_INSTANCE, name);
		if (!nl_call(&e.nl, &e.q, NULL))
			shell("mkdir -p /tmp/%s; mount -i -t regionfs %s /tmp/%s", name, name, name);
	}
}

/* Names of all instances but the good one. */
static char others[256][REGIONFS_NAME_MAX + 1];
static int nr_others;

static void note_instance(struct nlr *r, void *arg)
{
	const char *name = nlr_str(r, REGIONFS_A_INSTANCE);

	if (strcmp(name, e.name) && nr_others < 256)
		snprintf(others[nr_others++], sizeof(others[0]), "%s", name);
}

static void clean_up(void)
{
	if (getpid() != e.owner)
		return;
	shell("umount -i -l /tmp/" PREY "? 2>/dev/null; rmdir /tmp/" PREY "? 2>/dev/null");
	nr_others = 0;
	nlq_start(&e.q, &e.nl, REGIONFS_CMD_INSTANCE_GET, 0);
	nl_dump(&e.nl, &e.q, note_instance, NULL);
	for (int i = 0; i < nr_others; i++)
		command(others[i], REGIONFS_CMD_INSTANCE_STOP);
}

/* The good region's data, through its helper and back. */
static bool good_data(uint64_t round)
{
	static char buf[256 << 10], got[256 << 10];
	int fd = env_path_fd(&e, "good", O_RDWR);
	bool good;

	pattern_fill(buf, sizeof(buf), 0, round);
	good = pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf) && !fsync(fd);
	env_evict(fd);
	good &= pread(fd, got, sizeof(got), 0) == sizeof(got) && !memcmp(buf, got, sizeof(buf));
	close(fd);
	return good;
}

static bool one_round(uint64_t seed)
{
	pid_t pid[3];
	bool good = true;

	set_out_prey();
	pid[0] = spawn(attack_netlink, (void *)(uintptr_t)(seed * 6364136223846793005ull + 1));
	pid[1] = spawn(attack_uring, (void *)(uintptr_t)(seed * 6364136223846793005ull + 3));
	pid[2] = spawn(use_prey, (void *)(uintptr_t)(seed * 6364136223846793005ull + 5));
	for (int i = 0; i < 3; i++) {
		while (good && reap(pid[i], 50) == -ETIMEDOUT && kill(pid[i], 0) == 0)
			good &= good_data(seed + 1);
	}
	return good && good_data(seed + 2);
}

int main(void)
{
	long seconds = getenv("COUNT") ? atol(getenv("COUNT")) : 10;
	uint64_t seed = getenv("SEED") ? atol(getenv("SEED")) : 1, rounds = 0;
	long long until;
	bool good = true;

	tap_start(seconds + 500);
	env_start(&e, "hostile");
	must(env_filled(&e, "good", MiB, 1));
	atexit(clean_up);
	until = now_ms() + seconds * 1000;
	while (good && now_ms() < until)
		good = one_round(seed * 1000003 + rounds++);
	ok(good, "the good helper's data were right in %llu rounds, seed %llu",
	   (unsigned long long)rounds, (unsigned long long)seed);
	ok(!kill(e.fh->pid, 0), "the good helper lives");
	return tap_done();
}
