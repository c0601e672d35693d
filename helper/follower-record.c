// SPDX-License-Identifier: GPL-2.0
/* follower-record: see follower-record.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "config.h"
#include "follower-record.h"

#define MAGIC	0x4c4c4f4647455221ULL
#define VERSION	1u
#define HEAD	4096u

/* What is staged may be much, so it is on the disk, if there is one; nobody relies on it after a reboot. */
static void paths(const struct config *config, const char *token, char *path, char *staged_path, size_t len)
{
	snprintf(path, len, "%s/follow-%s", config->run_dir, token);
	snprintf(staged_path, len, "%s/follow-%s.staged", config->state_dir ? config->state_dir : config->run_dir, token);
}

struct follower_head *follower_head(const struct follower_record *record)
{
	return record->file.addr;
}

uint64_t *follower_staged(const struct follower_record *record)
{
	return (uint64_t *)((char *)record->file.addr + HEAD);
}

uint64_t *follower_zero(const struct follower_record *record)
{
	return follower_staged(record) + follower_bits(record) / 64;
}

uint64_t follower_bits(const struct follower_record *record)
{
	return follower_head(record)->bits;
}

void follower_set_phase(struct follower_record *record, enum follower_phase phase)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)&follower_head(record)->phase = phase;
	atomic_thread_fence(memory_order_seq_cst);
}

/* The second map moves up, from its end. What comes after it need not be zero: a helper that was killed in the midst of this may have left it there. */
int follower_record_fit(struct follower_record *record, uint64_t chunks)
{
	uint64_t old = follower_bits(record), bits = BITMAP_WORDS(chunks + chunks / 8 + 64) * 64;
	uint64_t *maps;

	if (chunks <= old)
		return 0;
	if (mapped_grow(&record->file, HEAD + (size_t)bits / 8 * 2))
		return -ENOSPC;
	follower_head(record)->moving = 1;
	atomic_thread_fence(memory_order_seq_cst);
	maps = follower_staged(record);
	memmove(maps + bits / 64, maps + old / 64, (size_t)old / 8);
	memset(maps + old / 64, 0, (size_t)(bits - old) / 8);
	memset(maps + (bits + old) / 64, 0, (size_t)(bits - old) / 8);
	follower_head(record)->bits = bits;
	atomic_thread_fence(memory_order_seq_cst);
	follower_head(record)->moving = 0;
	return 0;
}

void follower_record_clear(struct follower_record *record)
{
	memset(follower_staged(record), 0, (size_t)follower_bits(record) / 8 * 2);
	if (record->fd >= 0 && ftruncate(record->fd, 0))
		(void)!ftruncate(record->fd, 0);
}

static bool is_sound(const struct follower_record *record, uint64_t instance)
{
	const struct follower_head *head = follower_head(record);

	return head->magic == MAGIC && head->version == VERSION && head->instance == instance && head->phase <= FOLLOWER_APPLYING &&
	       !(head->bits % 64) && record->file.len >= HEAD + head->bits / 8 * 2;
}

static int make(struct follower_record *record, uint64_t instance)
{
	struct follower_head *head;
	int ret;

	unlink(record->path);
	ret = mapped_open(&record->file, record->path, O_CREAT | O_EXCL, HEAD);
	if (ret)
		return ret;
	head = follower_head(record);
	head->version = VERSION;
	head->instance = instance;
	atomic_thread_fence(memory_order_release);
	head->magic = MAGIC;
	return 0;
}

int follower_record_open(struct follower_record *record, const struct config *config, uint64_t instance, const char *token, bool *unsure)
{
	int ret;

	*unsure = false;
	paths(config, token, record->path, record->staged_path, sizeof(record->path));
	record->fd = -1;
	record->file.fd = -1;
	ret = mapped_open(&record->file, record->path, 0, HEAD);
	if (!ret && !is_sound(record, instance)) {
		mapped_close(&record->file);
		ret = -ENOENT;
	}
	if (ret)
		ret = make(record, instance);
	if (ret)
		return ret;
	record->fd = open(record->staged_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (record->fd < 0) {
		ret = -errno;
		mapped_close(&record->file);
		return ret;
	}
	*unsure = follower_head(record)->moving;
	if (*unsure || follower_head(record)->phase == FOLLOWER_PARTIAL)
		follower_record_clear(record);
	follower_head(record)->moving = 0;
	return 0;
}

void follower_record_close(struct follower_record *record)
{
	if (record->fd >= 0)
		close(record->fd);
	record->fd = -1;
	mapped_close(&record->file);
}

bool follower_record_exists(const struct config *config, const char *token)
{
	char path[4096], staged_path[4096];

	paths(config, token, path, staged_path, sizeof(path));
	return !access(path, F_OK);
}

void follower_record_unlink(const struct config *config, const char *token)
{
	char path[4096], staged_path[4096];

	paths(config, token, path, staged_path, sizeof(path));
	unlink(path);
	unlink(staged_path);
}
