// SPDX-License-Identifier: GPL-2.0
/* pressure: see pressure.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pressure.h"

/* Somebody waited for memory for 150 ms of a second. */
static const char trigger[] = "some 150000 1000000";
/* After that it counts as high for so long; the kernel tells once a second as long as it lasts. */
#define HIGH_MS		3000u
#define LOOK_MS		1000u
#define LOW_PART	16u

static void set_high(struct pressure *pressure, bool high)
{
	if (pressure->high == high || pressure->closed)
		return;
	pressure->high = high;
	pressure->changed(pressure);
}

/* ---- the kernel tells ---- */

static void poll_again(struct pressure *pressure)
{
	pressure->polling = true;
	loop_poll(pressure->loop, &pressure->poll, pressure->fd, POLLPRI);
}

static void polled(struct loop_op *op, int res)
{
	struct pressure *pressure = container_of(op, struct pressure, poll);

	pressure->polling = false;
	if (pressure->closed) {
		loop_post(pressure->loop, &pressure->end);
	} else if (res < 0 || res & POLLERR) {
		/* The trigger is gone, as with its cgroup: from here on we look ourselves. */
		close(pressure->fd);
		pressure->fd = -1;
		loop_timer_set(pressure->loop, &pressure->timer, LOOK_MS);
	} else {
		loop_timer_set(pressure->loop, &pressure->timer, HIGH_MS);
		poll_again(pressure);
		set_high(pressure, true);
	}
}

static int kept = -1;	/* of PRESSURE_PSI */
static bool armed;

void pressure_prepare(void)
{
	kept = open(PRESSURE_PSI, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/* An open file takes one trigger, for good. What it has told to nobody is old. */
static int open_kept(void)
{
	struct pollfd old = { .fd = kept, .events = POLLPRI };

	if (!armed && write(kept, trigger, sizeof(trigger)) < 0)
		return -1;
	armed = true;
	poll(&old, 1, 0);
	return fcntl(kept, F_DUPFD_CLOEXEC, 0);
}

static int open_psi(const char *path)
{
	int fd;

	if (kept >= 0 && !strcmp(path, PRESSURE_PSI))
		return open_kept();
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && write(fd, trigger, sizeof(trigger)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- or we look ---- */

static bool field(const char *text, const char *name, unsigned long long *value)
{
	const char *at = strstr(text, name);

	return at && sscanf(at + strlen(name), "%llu", value) == 1;
}

/* What can't be read is no reason to wait. */
static bool is_low(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned long long total, available;
	char text[1024];
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return field(text, "MemTotal:", &total) && field(text, "MemAvailable:", &available) && available < total / LOW_PART;
}

static void look(struct loop_timer *timer)
{
	struct pressure *pressure = container_of(timer, struct pressure, timer);

	if (pressure->fd >= 0) {
		set_high(pressure, false);
		return;
	}
	loop_timer_set(pressure->loop, timer, LOOK_MS);
	set_high(pressure, is_low(pressure->meminfo));
}

/* ---- life ---- */

static void ended(struct loop_task *task)
{
	struct pressure *pressure = container_of(task, struct pressure, end);

	if (pressure->fd >= 0)
		close(pressure->fd);
	pressure->closed(pressure);
}

void pressure_open(struct pressure *pressure, const char *psi, const char *meminfo)
{
	pressure->meminfo = meminfo;
	pressure->poll.done = polled;
	pressure->timer.fire = look;
	pressure->end.run = ended;
	pressure->closed = NULL;
	pressure->high = pressure->polling = false;
	pressure->fd = open_psi(psi);
	if (pressure->fd >= 0)
		poll_again(pressure);
	else
		loop_timer_set(pressure->loop, &pressure->timer, LOOK_MS);
}

void pressure_close(struct pressure *pressure, void (*closed)(struct pressure *pressure))
{
	pressure->closed = closed;
	loop_timer_cancel(pressure->loop, &pressure->timer);
	if (pressure->polling)
		loop_cancel(pressure->loop, &pressure->poll);
	else
		loop_post(pressure->loop, &pressure->end);
}

/* ---- one for all ---- */

static struct {
	struct pressure pressure;
	struct list watches;
	const char *psi, *meminfo;
	bool open, closing;
} shared = { .watches = { &shared.watches, &shared.watches } };

static void shared_changed(struct pressure *pressure)
{
	struct list *pos;

	list_for_each(pos, &shared.watches) {
		struct pressure_watch *watch = list_entry(pos, struct pressure_watch, list);

		watch->changed(watch);
	}
}

static void shared_open(void)
{
	shared.open = true;
	shared.closing = false;
	pressure_open(&shared.pressure, shared.psi, shared.meminfo);
}

/* Somebody may have begun to watch meanwhile. */
static void shared_closed(struct pressure *pressure)
{
	shared.open = shared.closing = pressure->high = false;
	if (!list_empty(&shared.watches))
		shared_open();
}

void pressure_watch(struct pressure_watch *watch, struct loop *loop, const char *psi, const char *meminfo)
{
	if (watch->watching)
		return;
	watch->watching = true;
	list_add(&shared.watches, &watch->list);
	shared.psi = psi;
	shared.meminfo = meminfo;
	if (shared.open)
		return;
	shared.pressure.loop = loop;
	shared.pressure.changed = shared_changed;
	shared_open();
}

void pressure_unwatch(struct pressure_watch *watch)
{
	if (!watch->watching)
		return;
	watch->watching = false;
	list_del(&watch->list);
	if (!list_empty(&shared.watches) || shared.closing)
		return;
	shared.closing = true;
	pressure_close(&shared.pressure, shared_closed);
}

bool pressure_is_high(void)
{
	return shared.open && !shared.closing && shared.pressure.high;
}
