// SPDX-License-Identifier: GPL-2.0
/* device: attaching to an instance, and the life of its queues. queue.c has what a queue does. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/regionfs.h>

#include "device.h"
#include "log.h"
#include "queue.h"

#define ATTACH_RETRY_MS	50
#define ATTACH_LIMIT_MS	15000
#define STOP_LIMIT_MS	5000

struct device {
	struct loop *loop;
	int fd;
	struct regionfs_attach attach;
	struct regionfs_io_desc *desc;
	size_t desc_len;
	void (*attached)(void *arg, int error, const char *why);
	void *arg;
	struct loop_op op;
	struct loop_timer timer;
	uint64_t give_up;
	/* running */
	struct queue **queue;
	unsigned int nr_queues;		/* that have a thread */
	bool poll;
	unsigned int nr_idle;		/* of these, that have answered all */
	bool stopping;
	void (*broken)(void *arg, int error);
	void (*stopped)(void *arg);
	struct loop_task broken_task;
	int error;
};

static void device_free(struct device *device)
{
	if (device->fd >= 0)
		close(device->fd);
	if (device->desc)
		munmap(device->desc, device->desc_len);
	free(device->queue);
	free(device);
}

/* ---- attach ---- */

static void attach_ended(struct device *device, int error, const char *why)
{
	void (*attached)(void *, int, const char *) = device->attached;
	void *arg = device->arg;

	if (error)
		device_free(device);
	attached(arg, error, why);
}

static void attach_send(struct device *device)
{
	struct regionfs_io_cmd cmd = { .addr = (uintptr_t)&device->attach };

	loop_command(device->loop, &device->op, device->fd, REGIONFS_IO_ATTACH, &cmd);
}

static void attach_again(struct loop_timer *timer)
{
	attach_send(container_of(timer, struct device, timer));
}

static const char *attach_why(int error)
{
	switch (error) {
	case -EBUSY:
		return "another regiond serves this instance";
	case -EPROTO:
	case -EPROTONOSUPPORT:
		return "the kernel module speaks another version of the contract: use the regiond that came with it";
	case -EPERM:
	case -EACCES:
		return "attaching needs CAP_SYS_ADMIN in the initial user namespace";
	default:
		return "the kernel refused to attach";
	}
}

static void attach_done(struct loop_op *op, int res)
{
	struct device *device = container_of(op, struct device, op);

	/* a helper that was killed may need a moment to let go */
	if (res == -EBUSY && loop_now_ns() < device->give_up) {
		loop_timer_set(device->loop, &device->timer, ATTACH_RETRY_MS);
		return;
	}
	attach_ended(device, res < 0 ? res : 0, res < 0 ? attach_why(res) : "");
}

static void attach_prepare(struct device *device, const struct device_options *options)
{
	struct regionfs_attach *attach = &device->attach;

	attach->size = sizeof(*attach);
	attach->abi = REGIONFS_ABI;
	attach->features = options->features;
	attach->flags = REGIONFS_ATTACH_CREATE;
	attach->nr_queues = (uint16_t)options->queues;
	attach->depth = (uint16_t)options->depth;
	attach->max_request = options->max_request;
	attach->desc_addr = (uintptr_t)device->desc;
	snprintf((char *)attach->name, sizeof(attach->name), "%s", options->instance);
}

static int device_alloc(struct device *device, const struct device_options *options)
{
	size_t tags = (size_t)options->queues * options->depth;

	device->poll = options->poll;
	device->desc_len = tags * sizeof(struct regionfs_io_desc);
	device->desc = mmap(NULL, device->desc_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
			    -1, 0);
	if (device->desc == MAP_FAILED) {
		device->desc = NULL;
		return -ENOMEM;
	}
	device->queue = calloc(options->queues, sizeof(*device->queue));
	if (!device->queue)
		return -ENOMEM;
	device->fd = open(REGIONFS_DEVICE, O_RDWR | O_CLOEXEC);
	return device->fd < 0 ? -errno : 0;
}

int device_open(struct device **out, struct loop *loop, const struct device_options *options,
		void (*attached)(void *arg, int error, const char *why), void *arg)
{
	struct device *device = calloc(1, sizeof(*device));
	int err;

	if (!device)
		return -ENOMEM;
	device->loop = loop;
	device->fd = -1;
	device->attached = attached;
	device->arg = arg;
	err = device_alloc(device, options);
	if (err) {
		device_free(device);
		return err;
	}
	attach_prepare(device, options);
	device->op.done = attach_done;
	device->timer.fire = attach_again;
	device->give_up = loop_now_ns() + ATTACH_LIMIT_MS * 1000000ULL;
	attach_send(device);
	*out = device;
	return 0;
}

uint64_t device_instance_id(const struct device *device)
{
	return device->attach.instance_id;
}

uint32_t device_attach_gen(const struct device *device)
{
	return device->attach.attach_gen;
}

uint32_t device_max_request(const struct device *device)
{
	return device->attach.max_request;
}

uint64_t device_features(const struct device *device)
{
	return device->attach.features;
}

int device_command(struct device *device, struct loop *loop, struct loop_op *op, uint32_t cmd_op,
		   const struct regionfs_io_cmd *cmd)
{
	if (device->stopping)
		return -ENODEV;
	loop_command(loop, op, device->fd, cmd_op, cmd);
	return 0;
}

/* ---- queues ---- */

/* A queue says, on the device's loop, that it can't go on. */
static void queue_broken(void *arg, int error)
{
	struct device *device = arg;

	if (!device->stopping && !device->error) {
		device->error = error;
		device->broken(device->arg, error);
	}
}

int device_start(struct device *device, struct regions *regions, void (*broken)(void *arg, int error))
{
	const struct regionfs_attach *attach = &device->attach;
	struct queue_options options = {
		.fd = device->fd,
		.depth = attach->depth, .poll = device->poll,
		.max_request = attach->max_request,
		.any_addr = (attach->features & REGIONFS_F_ANY_ADDR) != 0,
		.regions = regions,
		.home = device->loop,
		.broken = queue_broken,
		.arg = device,
	};
	int err = 0;

	device->broken = broken;
	for (unsigned int i = 0; i < attach->nr_queues && !err; i++) {
		options.first_tag = i * attach->depth;
		options.desc = device->desc + options.first_tag;
		err = queue_start(&device->queue[i], &options);
		if (!err)
			device->nr_queues++;
	}
	return err;
}

static void end_queues(struct device *device)
{
	void (*stopped)(void *) = device->stopped;
	void *arg = device->arg;

	loop_timer_cancel(device->loop, &device->timer);
	/* the flush of the file sends parked tags home, so that the threads end */
	close(device->fd);
	device->fd = -1;
	for (unsigned int i = 0; i < device->nr_queues; i++)
		queue_join(device->queue[i]);
	device_free(device);
	stopped(arg);
}

static void queue_idle(void *arg)
{
	struct device *device = arg;

	if (++device->nr_idle == device->nr_queues)
		end_queues(device);
}

/* What is not answered by now is handed to the next helper. */
static void stop_late(struct loop_timer *timer)
{
	struct device *device = container_of(timer, struct device, timer);

	for (unsigned int i = 0; i < device->nr_queues; i++)
		queue_abandon(device->queue[i]);
	end_queues(device);
}

void device_stop(struct device *device, void (*stopped)(void *arg))
{
	device->stopping = true;
	device->stopped = stopped;
	if (!device->nr_queues) {
		end_queues(device);
		return;
	}
	device->timer.fire = stop_late;
	loop_timer_set(device->loop, &device->timer, STOP_LIMIT_MS);
	for (unsigned int i = 0; i < device->nr_queues; i++)
		queue_drain(device->queue[i], queue_idle);
}
