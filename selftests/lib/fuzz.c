// SPDX-License-Identifier: GPL-2.0
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "tap.h"

struct fuzz_world *fuzz_world;

static __thread uint64_t rng = 1;

/* ---- chance ---- */

void fuzz_seed(uint64_t seed)
{
	rng = (seed + 1) * 6364136223846793005ull | 1;
	for (int i = 0; i < 8; i++)
		fuzz_next();
}

uint64_t fuzz_next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

uint64_t fuzz_below(uint64_t limit)
{
	return (fuzz_next() >> 11) % limit;
}

bool fuzz_one_in(unsigned int n)
{
	return fuzz_below(n) == 0;
}

uint64_t fuzz_odd(void)
{
	return fuzz_one_in(3) ? fuzz_next() >> fuzz_below(64) :
	       fuzz_of((uint64_t[]){ 0, 1, 2, 4095, 4096, 4097, 65535, 65536, 1ull << 20, 1ull << 31, (1ull << 32) - 1, 1ull << 32, 1ull << 44,
				     1ull << 62, LLONG_MAX - 4096ull, LLONG_MAX - 1ull, LLONG_MAX, 1ull << 63, ~0ull, ~0ull - 4095, ~0ull - 1 });
}

uint64_t fuzz_size(void)
{
	switch (fuzz_below(24)) {
	case 0:
		return fuzz_odd();
	case 1:
		return fuzz_of((uint64_t[]){ 0, 1, 4095, 4096, 4097, LLONG_MAX, LLONG_MAX - 4095ull, LLONG_MAX - 4096ull, 1ull << 40 });
	case 2 ... 3:
		return fuzz_below(64 << 10);
	case 4 ... 12:
		return 8 << 20;
	default:
		return fuzz_below(8 << 20) & ~(fuzz_one_in(2) ? 0xfffull : 0);
	}
}

/* ---- names ---- */

unsigned int fuzz_prey(void)
{
	return fuzz_one_in(8) ? FUZZ_PREYS - 1 : fuzz_below(FUZZ_MOUNTED);
}

const char *fuzz_name(unsigned int prey)
{
	static __thread char name[32];

	snprintf(name, sizeof(name), "fuzz-prey%u", prey);
	return name;
}

const char *fuzz_dir(unsigned int prey)
{
	static __thread char dir[32];

	snprintf(dir, sizeof(dir), "/tmp/fuzz-prey%u", prey);
	return dir;
}

const char *fuzz_rel(void)
{
	static __thread char path[64];

	snprintf(path, sizeof(path), "%sf%u", fuzz_one_in(8) ? fuzz_of((const char *[]){ "d/", "d/e/", "f0/", "./", "../" }) : "",
		 (unsigned int)fuzz_below(FUZZ_FILES));
	return path;
}

uint64_t fuzz_id(unsigned int prey)
{
	uint64_t id = fuzz_world->ids[prey][fuzz_below(FUZZ_IDS)];

	return id && !fuzz_one_in(16) ? id : fuzz_one_in(2) ? fuzz_below(8) : fuzz_odd();
}

void fuzz_note_id(unsigned int prey, uint64_t id)
{
	if (id)
		fuzz_world->ids[prey][fuzz_below(FUZZ_IDS)] = id;
}

/* ---- counts ---- */

void fuzz_count(int kind, long result)
{
	long slot = result >= 0 ? 0 : -result < FUZZ_ERRNOS ? -result : FUZZ_ERRNOS - 1;

	__atomic_fetch_add(&fuzz_world->count[kind][slot], 1, __ATOMIC_RELAXED);
	if (result > -512 || __atomic_fetch_add(&fuzz_world->internal, 1, __ATOMIC_RELAXED))
		return;
	fuzz_world->internal_kind = kind;
	fuzz_world->internal_error = result;
}

void fuzz_check_bytes(const void *buf, size_t len, uint64_t offset)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = p[i];

		if (!byte || byte == FUZZ_BYTE)
			continue;
		if (!__atomic_fetch_add(&fuzz_world->strange, 1, __ATOMIC_RELAXED)) {
			fuzz_world->strange_byte = byte;
			fuzz_world->strange_offset = offset + i;
		}
		return;
	}
}

static const char *const cmd_names[] = {
	"unspec", "instance-new", "instance-get", "instance-set", "instance-stop", "region-add", "region-del", "region-get", "region-set", "freeze",
	"thaw", "lock", "unlock", "invalidate", "writeback", "moved", "event", "done", "track", "write-rate", "unknown",
};

static const char *const io_names[] = {
	"unknown", "ATTACH", "FETCH", "COMMIT_AND_FETCH", "COMMIT", "STORE", "TOKEN", "LOCAL",
};

static void name_of(int kind, char *name, size_t room)
{
	if (kind < FUZZ_NL_DONE)
		snprintf(name, room, "netlink %s", cmd_names[kind - FUZZ_NL]);
	else if (kind < FUZZ_IO)
		snprintf(name, room, "end of %s", cmd_names[kind - FUZZ_NL_DONE]);
	else if (kind < FUZZ_FILE)
		snprintf(name, room, "device %s", io_names[kind - FUZZ_IO]);
	else if (kind < FUZZ_MOUNT)
		snprintf(name, room, "file %s", fuzz_file_names[kind - FUZZ_FILE]);
	else
		snprintf(name, room, "mount %s", fuzz_mount_names[kind - FUZZ_MOUNT]);
}

static void print_kind(int kind, const uint64_t *count, uint64_t sum)
{
	char line[1024], name[64];
	int len;

	name_of(kind, name, sizeof(name));
	len = snprintf(line, sizeof(line), "%-26s %7llu: %llu done", name, (unsigned long long)sum, (unsigned long long)count[0]);
	for (int e = 1; e < FUZZ_ERRNOS && len < (int)sizeof(line) - 32; e++)
		if (count[e])
			len += snprintf(line + len, sizeof(line) - len, ", %s %llu", strerrorname_np(e) ?: "others", (unsigned long long)count[e]);
	tap_note("%s", line);
}

void fuzz_print(void)
{
	for (int kind = 0; kind < FUZZ_KINDS; kind++) {
		uint64_t sum = 0;

		for (int e = 0; e < FUZZ_ERRNOS; e++)
			sum += fuzz_world->count[kind][e];
		if (sum)
			print_kind(kind, fuzz_world->count[kind], sum);
	}
	if (fuzz_world->internal)
		tap_note("the first internal error was %lld, of kind %lld", (long long)fuzz_world->internal_error, (long long)fuzz_world->internal_kind);
	if (fuzz_world->strange)
		tap_note("the first byte that nobody wrote was %#llx, at %#llx", (long long)fuzz_world->strange_byte,
			 (long long)fuzz_world->strange_offset);
}
