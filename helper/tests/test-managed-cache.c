// SPDX-License-Identifier: GPL-2.0
/*
 * A managed region without a local store, over a file whose answers come when the test says so; the kernel's side of STORE is the test. Who asks
 * for what the puller has on its way waits for that, but never gets bytes that are older than what was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <linux/regionfs.h>

#include "device.h"
#include "managed-private.h"
#include "puller-private.h"
#include "tests/managed-file.h"
#include "tests/held-reads.h"

#define SIZE	(4u << 20)
/* What the puller asks for before the first answer comes. */
#define FRONT	(256u << 10)

static char bytes[SIZE], data[SIZE];
static uint64_t size = SIZE;
static struct backend *backend;

/* ---- the kernel ---- */

static int token_error;
static bool hold_stores;
static unsigned int nr_stores;
static struct loop_op *held_store;

int __wrap_device_command(struct device *device, struct loop *loop, struct loop_op *op, uint32_t cmd_op,
			  struct regionfs_io_cmd *cmd);
uint32_t __wrap_device_max_request(const struct device *device);
bool __wrap_backend_local(const char *uri);

/* A file of this host would not be pulled. */
bool __wrap_backend_local(const char *uri)
{
	return false;
}

int __wrap_device_command(struct device *device, struct loop *loop, struct loop_op *op, uint32_t cmd_op,
			  struct regionfs_io_cmd *cmd)
{
	if (cmd_op == REGIONFS_IO_TOKEN) {
		op->done(op, token_error);
		return 0;
	}
	nr_stores++;
	if (hold_stores && !held_store)
		held_store = op;
	else
		op->done(op, 0);
	return 0;
}

uint32_t __wrap_device_max_request(const struct device *device)
{
	return WINDOW_UNIT_MAX;
}

/* ---- open and close ---- */

static bool done;

static void fill_file(void)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(data, 'A', SIZE);
	if (write(fd, data, SIZE) != SIZE)
		exit(99);
	close(fd);
}

/* With the first of what the puller asks for at hand, and held. */
static void begin(void)
{
	fill_file();
	region.info.id++;
	hold_reads = true;
	nr_reads = 0;
	nr_stores = 0;
	backend = managed_file_start("local=cache pull-order=sequential", size);
	if (!token_error)
		wait_came(size < FRONT ? 1 : FRONT / (64 << 10));
}

static void end(void)
{
	let_reads_go();
	source_close(backend);
	backend = NULL;
}

static void read_start(struct ask *read, uint64_t offset, uint64_t length)
{
	nr_reads = 0;
	memset(bytes, 0x55, length);
	ask_start_with(read, backend, BACKEND_DEMAND, BACKEND_READ, offset, length, bytes);
}

/* How many of the bytes are not this value; UINT32_MAX: an error. */
static unsigned int read_wrong(struct ask *read, uint64_t length, char value)
{
	unsigned int n = 0;

	if (ask_wait(read))
		return UINT32_MAX;
	for (uint64_t i = 0; i < length; i++)
		n += bytes[i] != value;
	return n;
}

static int change(enum backend_op op, uint64_t offset, uint64_t length, char value)
{
	struct ask write;
	bool held = hold_reads;
	int error;

	memset(data, value, SIZE);
	hold_reads = false;
	ask_start(&write, backend, op, offset, length, data);
	error = ask_wait(&write);
	hold_reads = held;
	return error;
}

static void tick(struct loop_timer *timer)
{
	done = true;
	loop_stop(regiond.loop);
}

static void turn(void)
{
	struct loop_timer timer = { .fire = tick };

	done = false;
	loop_timer_set(regiond.loop, &timer, 10);
	source_turn(&done);
}

/* ---- the tests ---- */

static void test_on_its_way(void)
{
	struct ask read;

	begin();
	read_start(&read, 8192, 100000);
	tap_number(nr_reads, 0, "what is on its way is not asked for again");
	tap_number((long long)managed_of(backend)->puller->window.waiting, 0, "and the background gives way to nobody");
	let_reads_go();
	tap_number(read_wrong(&read, 100000, 'A'), 0, "it is read");
	end();
}

static void test_beyond(void)
{
	struct ask read;

	begin();
	read_start(&read, FRONT - 8192, 16384);
	tap_number(nr_reads, 1, "of what is on its way in part the rest is asked for");
	tap_number((long long)managed_of(backend)->puller->window.waiting, 1, "and the background gives way");
	let_reads_go();
	tap_number(read_wrong(&read, 16384, 'A'), 0, "both are read");
	end();
}

static void test_written(void)
{
	struct ask read;

	begin();
	tap_number(change(BACKEND_WRITE, 4096, 4096, 'B'), 0, "a page is written that is on its way");
	read_start(&read, 4096, 4096);
	tap_number(nr_reads, 1, "then it is asked for anew");
	let_reads_go();
	tap_number(read_wrong(&read, 4096, 'B'), 0, "and read as it was written");
	end();
}

static void test_cut(void)
{
	struct ask read;

	begin();
	tap_number(change(BACKEND_RESIZE, 10000, SIZE, 0), 0, "the end is cut off, and grows again");
	read_start(&read, 12288, 4096);
	let_reads_go();
	tap_number(read_wrong(&read, 4096, 0), 0, "what was cut is zero, though it is on its way as it was");
	end();
}

static void test_landed(void)
{
	struct ask read;

	hold_stores = true;
	begin();
	let_reads_go();
	for (int i = 0; i < 500 && !held_store; i++)
		turn();
	hold_reads = true;
	read_start(&read, 0, 4096);
	tap_number(nr_reads, 0, "what the kernel is being given is not asked for again");
	tap_ok(read.answered && !read_wrong(&read, 4096, 'A'), "it is read at once");
	hold_stores = false;
	held_store->done(held_store, 0);
	held_store = NULL;
	end();
}

/* A READ that comes as one fails, from within. */
static struct ask next;
static char other[4096];
static void (*was_done)(struct backend_req *req, int error);

static void done_again(struct backend_req *req, int error)
{
	ask_start_with(&next, backend, BACKEND_DEMAND, BACKEND_READ, 0, sizeof(other), other);
	was_done(req, error);
}

static void fail_first(void)
{
	struct list *at;

	list_for_each(at, &answers) {
		struct answer *answer = list_entry(at, struct answer, list);

		if (answer->req->offset)
			continue;
		memset(answer->req->data, 'G', 8192);
		tell(answer, -EIO);
		return;
	}
}

static void test_failed(void)
{
	struct ask read, second;

	begin();
	read_start(&read, 0, 4096);
	was_done = read.req.done;
	read.req.done = done_again;
	ask_start_with(&second, backend, BACKEND_DEMAND, BACKEND_READ, 4096, 4096, bytes + 4096);
	fail_first();
	tap_number(ask_wait(&read), -EIO, "what fails fails for who waits for it");
	tap_number(ask_wait(&second), -EIO, "for all of them");
	let_reads_go();
	tap_ok(!ask_wait(&next) && other[0] == 'A' && other[4095] == 'A', "and not for who comes meanwhile");
	end();
}

/* "regionctl set --size" tells the kernel alone what the source has by now. */
static void test_larger(void)
{
	struct ask read;

	size = 16384;
	begin();
	size = SIZE;
	read_start(&read, 8192, 65536);
	let_reads_go();
	tap_number(read_wrong(&read, 65536, 'A'), 0, "what the source has beyond the end that we know is read, too");
	end();
}

/* A READ's own bytes need not stay: the puller brings them all the same. */
static void test_not_skipped(void)
{
	struct managed *managed;
	struct answer *own;
	struct ask read;

	begin();
	managed = managed_of(backend);
	read_start(&read, FRONT - 4096, 8192);
	own = list_entry(answers.prev, struct answer, list);
	list_del(&own->list);
	let_reads_go();
	for (int i = 0; i < 500 && !managed->puller->stats.complete; i++)
		turn();
	tap_ok(pages_test(managed->pulled, FRONT, 4096) != PAGES_NONE, "what only a READ has asked for is pulled, too");
	list_add(&answers, &own->list);
	tell(own, 0);
	tap_number(ask_wait(&read), 0, "it is read");
	end();
}

static void is_read(struct backend_req *req, int error)
{
	struct ask *ask = container_of(req, struct ask, req);

	ask->error = error;
	ask->answered = true;
	loop_stop(regiond.loop);
}

/* The kernel's readahead: a request that has an id, and is no demand. */
static void ahead_start(struct ask *read, uint64_t offset, uint64_t length)
{
	*read = (struct ask){ .req = {
		.op = BACKEND_READ, .flags = BACKEND_BULK, .offset = offset, .length = length, .data = bytes, .loop = regiond.loop,
		.done = is_read, .id = 7,
	} };
	nr_reads = 0;
	backend_submit(backend, &read->req);
}

static void test_passed(void)
{
	struct managed *managed;
	unsigned int stored;
	struct ask read;

	begin();
	managed = managed_of(backend);
	ahead_start(&read, FRONT - 4096, 65536);
	tap_number(nr_reads, 1, "readahead goes past the puller");
	tap_number((long long)managed->puller->window.waiting, 0, "which gives way to nobody");
	tap_number((long long)managed->puller->order.cursor, FRONT - 4096 + 65536, "and goes on behind it");
	let_reads_go();
	tap_number(read_wrong(&read, 65536, 'A'), 0, "it is read");
	tap_ok(pages_test(managed->pulled, FRONT, 65536 - 4096) == PAGES_ALL, "the kernel has it then: it need not be pulled");
	ahead_start(&read, SIZE - 65536, 65536);
	tap_number(read_wrong(&read, 65536, 'A'), 0, "so it is with what is read without the puller");
	stored = nr_stores;
	for (int i = 0; i < 500 && !managed->puller->stats.complete; i++)
		turn();
	tap_ok(nr_stores > stored, "the rest is pulled");
	end();
}

/* drop, unlock and the like: the source is another one than it was. */
static void test_changed(void)
{
	struct ask read;

	begin();
	managed_source_changed(managed_of(backend), 4096, 4096);
	read_start(&read, 4096, 4096);
	tap_number(nr_reads, 1, "when somebody else has changed the source, nobody waits for what was read before");
	let_reads_go();
	tap_number(ask_wait(&read), 0, "it is read");
	end();
}

static void test_no_token(void)
{
	struct ask read;

	token_error = -ENODEV;
	begin();
	hold_reads = false;
	read_start(&read, 0, 4096);
	tap_number(read_wrong(&read, 4096, 'A'), 0, "without the kernel's leave nothing is pulled, and all is read");
	tap_number(nr_stores, 0, "and nothing put into its cache");
	token_error = 0;
	end();
}

int main(void)
{
	list_init(&answers);
	regiond.loop = source_begin();
	regiond.device = (struct device *)&regiond;	/* the test is the device */
	barriers_init(&barriers);
	atomic_store(&region.users, 100);
	snprintf(file, sizeof(file), "%s/source", source_dir());
	snprintf(uri, sizeof(uri), "file:%s", file);
	test_on_its_way();
	test_beyond();
	test_written();
	test_cut();
	test_landed();
	test_failed();
	test_larger();
	test_not_skipped();
	test_changed();
	test_passed();
	test_no_token();
	regiond.device = NULL;
	source_end();
	return tap_end();
}
