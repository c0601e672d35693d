/* SPDX-License-Identifier: GPL-2.0 */
/* device: the data plane. Takes the kernel's requests on a few threads of their own and gives them to their regions. */
#ifndef REGIONFS_DEVICE_H
#define REGIONFS_DEVICE_H

#include <stdint.h>

#include "loop.h"

struct device;
struct regions;

struct device_options {
	const char *instance;
	unsigned int queues;
	unsigned int depth;
	bool poll;		/* queues look for requests for a moment before they sleep */
	uint32_t max_request;	/* 0: the kernel's default */
	uint64_t features;	/* to ask for */
};

/*
 * Opens the device and attaches, making the instance when there is none. attached(arg, error, why) on loop, which
 * comes also when another helper is in the way for longer than a while (-EBUSY).
 */
int device_open(struct device **device, struct loop *loop, const struct device_options *options,
		void (*attached)(void *arg, int error, const char *why), void *arg);
/* After attached. */
uint64_t device_instance_id(const struct device *device);
uint32_t device_attach_gen(const struct device *device);
uint32_t device_max_request(const struct device *device);
uint64_t device_features(const struct device *device);
/* The threads, and so the requests, start. broken(arg, error) when the channel fails later. */
int device_start(struct device *device, struct regions *regions, void (*broken)(void *arg, int error));
/* Answers what it holds (for a while), then lets go. stopped(arg) on loop; the device is freed. */
void device_stop(struct device *device, void (*stopped)(void *arg));
/* STORE, TOKEN and other commands on the device: the loop's own thread, any loop. -ENODEV once stopped. */
struct regionfs_io_cmd;
int device_command(struct device *device, struct loop *loop, struct loop_op *op, uint32_t cmd_op,
		   const struct regionfs_io_cmd *cmd);

#endif
