// SPDX-License-Identifier: GPL-2.0
/* Reads at a place that is a region of this host, whose source is the test's. */
#include "host.h"

#include "place.h"

#define SIZE 65536u

static struct host *host;
static struct region *region;

/* ---- its source: READs are held, or fail; what is dropped is counted ---- */

static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	bool hold;
	int error;
	unsigned int reads, drops;
	struct list held;
} source;

static void source_submit(struct backend *backend, struct backend_req *req)
{
	source.reads += req->op == BACKEND_READ;
	if (req->op == BACKEND_DROP) {
		source.drops++;
		backend_done(req, 0);
	} else if (req->op == BACKEND_READ && source.error) {
		backend_done(req, source.error);
	} else if (req->op == BACKEND_READ && source.hold) {
		list_add(&source.held, &req->list);
	} else {
		source.real->submit(backend, req);
	}
}

static void source_release(void)
{
	struct list *entry;

	source.hold = false;
	while ((entry = list_pop(&source.held)))
		source.real->submit(region->backend, list_entry(entry, struct backend_req, list));
}

static void begin(void)
{
	struct netlink_attrs attrs = { 0 };
	char path[160], uri[200];
	uint8_t byte;
	int fd;

	host = host_new("a");
	snprintf(path, sizeof(path), "%s/bytes", host->run);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) || close(fd))
		exit(99);
	snprintf(uri, sizeof(uri), "file:%s?direct=no", path);
	netlink_set(&attrs, PATH, path, "old");
	netlink_set(&attrs, SOURCE, source, uri);
	netlink_set(&attrs, SIZE, size, SIZE);
	kernel_add(&host->kernel, &attrs);
	host_start(host);
	region = region_find_path(host->regiond->regions, "old");
	tap_number(host_request(host, region->info.id, BACKEND_READ, 0, 1, &byte), 0, "a region is there");
	source.real = region->backend->ops;
	source.ops = *source.real;
	source.ops.submit = source_submit;
	region->backend->ops = &source.ops;
	region->backend->caps.publish = true;
	region->backend->journal = NULL;	/* which would take what is dropped */
	list_init(&source.held);
}

/* ---- who reads ---- */

struct reader {
	struct place *place;
	bool done, closes;
	int error;
};

static void reader_done(void *arg, int error, uint8_t *data)
{
	struct reader *reader = arg;

	free(data);
	reader->done = true;
	reader->error = error;
	if (reader->closes)
		place_close(reader->place);
}

static struct place_read *reader_begin(struct reader *reader, struct place *place, uint32_t ms)
{
	reader->place = place;
	reader->done = false;
	return place_read(place, 0, 4096, ms, reader_done, reader);
}

/* ---- closing it ---- */

static void test_close(void)
{
	struct place *place = place_new(host->regiond, "region:old");
	struct reader reader = { .closes = true }, more[2] = { 0 };
	unsigned int users = region->users;

	reader_begin(&reader, place, 5000);
	tap_ok(until(reader.done) && !reader.error, "who has read closes the place from within");
	pass(50);
	tap_number(region->users, users, "the region is let go of");
	tap_number(source.drops, 0, "what a peer has staged there stays");

	place = place_new(host->regiond, "region:old");
	reader = (struct reader){ 0 };
	source.error = -EIO;
	reader_begin(&reader, place, 5000);
	reader_begin(&more[0], place, 5000);
	tap_ok(until(reader.done && more[0].done) && reader.error == -EIO && more[0].error == -EIO, "what cannot be read fails");
	source.error = 0;
	reader_begin(&reader, place, 5000);
	tap_ok(until(reader.done) && !reader.error, "and is read from whatever region is there by then");
	place_close(place);
	pass(50);
	tap_number(region->users, users, "and let go of");
	tap_number(source.drops, 0, "with what was staged there as it is");
}

/* The kernel does not bring what is dirty there: the read ends within its answer, and there is nothing else in the batch. */
static void test_kernel(void)
{
	struct place *place = place_new(host->regiond, "region:old");
	struct kernel_region *kernel = host_region(host, "old");
	struct reader reader = { .closes = true };
	unsigned int users = region->users;

	reader_begin(&reader, place, 5000);
	/* opened by now: then the kernel does not know it any more */
	host->kernel.hold = REGIONFS_CMD_WRITEBACK;
	tap_ok(until(!list_empty(&host->kernel.held)), "the kernel is asked for what is dirty");
	kernel->id = 1000;
	host->kernel.nr = 0;
	host_release(host);
	tap_ok(until(reader.done) && reader.error == -ENOENT, "and does not know the region: who has read closes the place");
	pass(50);
	host->kernel.nr = 1;
	kernel->id = 1;
	tap_number(region->users, users, "it is let go of");
}

/* ---- it hangs ---- */

static void test_hangs(void)
{
	struct place *place = place_new(host->regiond, "region:old");
	struct reader readers[8] = { 0 };
	unsigned int timed_out = 0, busy = 0, reads = source.reads;
	struct place_read *cancelled;

	source.hold = true;
	for (unsigned int i = 0; i < 3; i++)
		reader_begin(&readers[i], place, 50);
	cancelled = reader_begin(&readers[3], place, 5000);
	pass(200);
	place_cancel(cancelled);
	for (unsigned int i = 0; i < 3; i++)
		timed_out += readers[i].done && readers[i].error == -ETIMEDOUT;
	tap_number(timed_out, 3, "reads at a place that does not answer are given up");
	for (unsigned int i = 4; i < 8; i++)
		reader_begin(&readers[i], place, 5000);
	pass(200);
	for (unsigned int i = 4; i < 8; i++)
		busy += readers[i].done && readers[i].error == -EBUSY;
	tap_number(busy, 4, "and after some of them it is not asked any more");
	tap_number(source.reads - reads, 4, "nothing more is held there");
	source_release();
	pass(50);
	reader_begin(&readers[0], place, 5000);
	tap_ok(until(readers[0].done) && !readers[0].error, "until it has answered them");
	tap_ok(!readers[3].done, "of which he hears nothing who wanted no more");
	place_close(place);
	pass(50);
}

int main(void)
{
	if (!hosts_open())
		return 99;
	begin();
	test_close();
	test_kernel();
	test_hangs();
	host_kill(host);
	return hosts_end();
}
