// SPDX-License-Identifier: GPL-2.0
/* base-map: which pages of a base are there: what the words say, and DIR/map. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../log.h"
#include "crc32c.h"
#include "dirs.h"
#include "stores/base-internal.h"
#include "stores/hold.h"

#define MAGIC	"rfsbase"
#define VERSION	1

/* ---- the words ---- */

static void count(struct block *block, uint32_t word, int n)
{
	block->some += (word & PAGES_MASK) ? n : 0;
	block->whole += (word & PAGES_MASK) == PAGES_MASK ? n : 0;
	block->changed += word & CHUNK_CHANGED ? n : 0;
	block->changed_2 += word & CHUNK_CHANGED_2 ? n : 0;
}

void base_word_change(struct base *base, uint64_t chunk, uint32_t set, uint32_t clear)
{
	struct segment *segment = base_segment(base, chunk);
	struct block *block = base_block(segment, chunk);
	_Atomic uint32_t *word = &segment->word[chunk % SEGMENT_CHUNKS];
	uint32_t old = atomic_load(word);
	int32_t pages;

	/* others set CHUNK_USED and CHUNK_READ meanwhile, and clear CHUNK_UNCHECKED */
	while (!atomic_compare_exchange_weak(word, &old, (old & ~clear) | set))
		;
	count(block, old, -1);
	count(block, (old & ~clear) | set, 1);
	pages = __builtin_popcount(((old & ~clear) | set) & PAGES_MASK) - __builtin_popcount(old & PAGES_MASK);
	base->stats.present += (uint64_t)((int64_t)pages * PAGE);
	if (!segment->pins[chunk % SEGMENT_CHUNKS])
		base_loosen(base, block, pages);
}

static bool block_has(const struct block *block, uint32_t bits)
{
	if (bits == CHUNK_CHANGED)
		return block->changed;
	return bits == CHUNK_CHANGED_2 ? block->changed_2 : block->some;
}

uint64_t base_next(struct base *base, uint64_t chunk, uint64_t end, uint32_t bits)
{
	while (chunk < end) {
		struct segment *segment = base_segment(base, chunk);

		if (!segment)
			chunk = (chunk / SEGMENT_CHUNKS + 1) * SEGMENT_CHUNKS;
		else if (!block_has(base_block(segment, chunk), bits))
			chunk = (chunk / BLOCK_CHUNKS + 1) * BLOCK_CHUNKS;
		else if (atomic_load_explicit(&segment->word[chunk % SEGMENT_CHUNKS], memory_order_relaxed) & bits)
			return chunk;
		else
			chunk++;
	}
	return end;
}

uint32_t base_pages_of(uint64_t chunk, uint64_t from, uint64_t end)
{
	uint64_t start = chunk * BASE_CHUNK;
	uint32_t first = from > start ? (uint32_t)((from - start) / PAGE) : 0;
	uint32_t last = end - start < BASE_CHUNK ? (uint32_t)((end - start + PAGE - 1) / PAGE) : CHUNK_PAGES;

	return last > first ? ((1u << last) - 1) & ~((1u << first) - 1) : 0;
}

void base_note_used(struct base *base, uint64_t chunk, uint32_t word)
{
	/* mostly set already, and then the cache line stays shared */
	if (!(word & CHUNK_USED))
		atomic_fetch_or(&base_segment(base, chunk)->word[chunk % SEGMENT_CHUNKS], CHUNK_USED);
}

bool base_present(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t end = base_end(offset, length);

	if (length && end != offset + length)
		return false;
	for (uint64_t chunk = offset / BASE_CHUNK; length && chunk < chunk_end(end); chunk++) {
		uint32_t mask = base_pages_of(chunk, offset, end), word = base_word(base, chunk);

		if ((word & mask) != mask || word & CHUNK_UNCHECKED)
			return false;
		base_note_used(base, chunk, word);
	}
	return true;
}

/* The first page from a place on that is absent (or present), or end. All in pages. */
static uint64_t next_page(struct base *base, uint64_t page, uint64_t end, bool present)
{
	while (page < end) {
		uint64_t chunk = page / CHUNK_PAGES;
		struct segment *segment = base_segment(base, chunk);
		uint32_t left;

		if (chunk >= BASE_CHUNKS)
			return present ? end : page;
		if (present && (!segment || !base_block(segment, chunk)->some)) {
			uint64_t step = segment ? BLOCK_CHUNKS : SEGMENT_CHUNKS;

			page = (chunk / step + 1) * step * CHUNK_PAGES;
			continue;
		}
		if (!present && segment && base_block(segment, chunk)->whole == BLOCK_CHUNKS) {
			page = (chunk / BLOCK_CHUNKS + 1) * BLOCK_CHUNKS * CHUNK_PAGES;
			continue;
		}
		left = ((present ? 0 : PAGES_MASK) ^ base_word(base, chunk)) & PAGES_MASK;
		left &= ~((1u << page % CHUNK_PAGES) - 1);
		page = chunk * CHUNK_PAGES + (left ? (uint32_t)__builtin_ctz(left) : CHUNK_PAGES);
		if (left)
			break;
	}
	return page < end ? page : end;
}

bool base_absent(struct base *base, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length)
{
	uint64_t end = page_up(limit) / PAGE, last;
	uint64_t first = next_page(base, from / PAGE, end, false);

	if (from >= limit || first >= end)
		return false;
	last = next_page(base, first, end, true);
	*offset = first * PAGE;
	*length = last * PAGE - first * PAGE;
	if (*length > limit - *offset)
		*length = limit - *offset;
	return true;
}

bool base_checked(struct base *base, uint64_t offset, uint64_t length)
{
	uint64_t end = chunk_end(base_end(offset, length));

	for (uint64_t chunk = offset / BASE_CHUNK; (chunk = base_next(base, chunk, end, PAGES_MASK)) < end; chunk++)
		if (base_word(base, chunk) & CHUNK_UNCHECKED)
			return false;
	return true;
}

/* ---- entries ---- */

/* Its place and its pages are in the sum, so that neither bytes nor an entry of elsewhere can match. */
uint32_t base_entry_crc(uint64_t chunk, const struct map_entry *entry, const char *bytes)
{
	uint64_t seed[2] = { chunk, entry->pages };
	uint32_t crc = crc32c(0, seed, sizeof(seed));

	if (!bytes)
		return crc32c_zeroes(crc, (size_t)__builtin_popcount(entry->pages) * PAGE);
	for (uint32_t page = 0; page < CHUNK_PAGES; page++)
		if (entry->pages & 1u << page)
			crc = crc32c(crc, bytes + page * PAGE, PAGE);
	return crc;
}

/* A file that can't tell has something everywhere. */
bool base_chunk_hole(struct base *base, uint64_t chunk, uint64_t *data)
{
	uint64_t from = chunk * BASE_CHUNK;

	if (*data <= from) {
		off_t next = lseek(base->fd, (off_t)from, SEEK_DATA);

		*data = next >= 0 ? (uint64_t)next : errno == ENXIO ? UINT64_MAX : from;
	}
	return *data >= from + BASE_CHUNK;
}

int base_chunk_read(struct base *base, uint64_t chunk, uint32_t mask, char *bytes)
{
	uint32_t at = (uint32_t)__builtin_ctz(mask | 1u << (CHUNK_PAGES - 1)) * PAGE;

	memset(bytes, 0, BASE_CHUNK);
	while (at < BASE_CHUNK) {
		ssize_t n = pread(base->fd, bytes + at, BASE_CHUNK - at, (off_t)(chunk * BASE_CHUNK + at));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		at += n > 0 ? (uint32_t)n : 0;
	}
	return 0;
}

int base_map_write(struct base *base, const void *data, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(base->map_fd, data, len, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		n = n > 0 ? n : 0;
		data = (const char *)data + n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static struct map_entry entry_of(uint32_t word)
{
	struct map_entry entry = { .pages = (uint16_t)(word & PAGES_MASK) };

	if (entry.pages)
		entry.flags = ENTRY_VALID;
	return entry;
}

/* On a tmpfs: what the words say of chunks, as entries. A page of the map for which there is no room keeps the others from nothing. */
static int note_entries(struct base *base, uint64_t first, uint64_t last)
{
	struct map_entry entry[64];
	int err = 0;

	while (first < last) {
		unsigned int n = 0;
		int failed;

		do
			entry[n] = entry_of(base_word(base, first + n));
		while (++n < 64 - first % 64 && first + n < last);
		failed = base_map_write(base, entry, n * sizeof(*entry), entry_at(first));
		err = err ? err : failed;
		first += n;
	}
	return err;
}

int base_note(struct base *base, uint64_t first, uint64_t last)
{
	if (!base->durable)
		return note_entries(base, first, last);
	for (; first < last; first++)
		base_word_change(base, first, base->changed, 0);
	return 0;
}

void base_note_coming(struct base *base, const struct base_io *io)
{
	uint64_t last = chunk_end(io->offset + io->length);

	for (uint64_t chunk = io->offset / BASE_CHUNK; (chunk = base_next(base, chunk, last, PAGES_MASK)) < last; chunk++)
		base_word_change(base, chunk, base->changed, 0);
}

/*
 * A chunk that comes in one go is not used yet: so what is pulled ahead and not read goes before what is. One that comes in
 * pieces is, or it would be given up for its own next piece.
 */
int base_set_present(struct base *base, uint64_t from, uint64_t end)
{
	uint64_t first = from / BASE_CHUNK, last = chunk_end(end);

	for (uint64_t chunk = first; chunk < last; chunk++) {
		uint32_t mask = base_pages_of(chunk, from, end);
		uint32_t before = base_word(base, chunk) & PAGES_MASK, set = mask | (before ? CHUNK_USED : 0);

		base_word_change(base, chunk, set, 0);
	}
	return base_note(base, first, last);
}

/*
 * Where there is no room for an entry there is none, and that is what is to be noted. With any other failure the next helper would find what
 * is gone: it had better find nothing. To remove a file takes no room.
 */
static void note_absent(struct base *base, uint64_t first, uint64_t last)
{
	int err = base_note(base, first, last);

	if (!err || err == -ENOSPC)
		return;
	unlink(base->map_path);
	log_error("%s: can't write: %s; the next start finds it empty", base->map_path, strerror(-err));
}

bool base_set_absent(struct base *base, uint64_t from, uint64_t end)
{
	uint64_t last = chunk_end(end), chunk = base_next(base, from / BASE_CHUNK, last, PAGES_MASK), run = chunk;
	bool any = false;

	for (uint64_t next; chunk < last; chunk = next) {
		uint32_t clear = base_pages_of(chunk, from, end), word = base_word(base, chunk), read = word & CHUNK_READ;

		/* the checksum is of all of it: without a part the rest can't be checked any longer */
		if (word & CHUNK_UNCHECKED)
			clear = PAGES_MASK | CHUNK_UNCHECKED;
		if (!(word & PAGES_MASK & ~clear))
			clear |= CHUNK_USED | read;
		any = true;
		base_word_change(base, chunk, clear & read ? CHUNK_TOUCHED : 0, clear);
		atomic_fetch_add(&base_block(base_segment(base, chunk), chunk)->given_up, 1);
		next = base_next(base, chunk + 1, last, PAGES_MASK);
		if (next == chunk + 1 && next < last)
			continue;
		note_absent(base, run, chunk + 1);
		run = next;
	}
	/* after the bits, before the room: see base_seq() */
	if (any)
		atomic_fetch_add(base->seq, 1);
	return any;
}

/* ---- DIR/map when it is opened ---- */

static void head_make(struct map_head *head, const struct base_options *options)
{
	memset(head, 0, sizeof(*head));
	memcpy(head->magic, MAGIC, sizeof(head->magic));
	head->version = VERSION;
	head->durable = options->durable;
	head->instance = options->durable ? 0 : options->instance;
	head->identity_len = strlen(options->identity);
	memcpy(head->identity, options->identity, head->identity_len);
	head->crc = crc32c(0, head, sizeof(*head) - sizeof(head->crc));
}

/* An entry of a chunk whose size now ends in the midst of its pages is worth nothing. */
static int entry_take(struct base *base, uint64_t chunk, const struct map_entry *entry)
{
	uint64_t size = page_up(atomic_load(&base->size));
	const struct map_entry none = { 0 };
	uint32_t set = entry->pages | (base->durable ? CHUNK_UNCHECKED | CHUNK_ENTRY : 0);

	if (!entry->pages || (entry->flags & ~ENTRY_HOLES) != ENTRY_VALID || chunk >= chunk_end(size))
		return 0;
	/* nor later, when the region is longer again: its bytes are about to be given back */
	if (entry->pages & ~base_pages_of(chunk, 0, size))
		return base_map_write(base, &none, sizeof(none), entry_at(chunk));
	/* what has no word would be taken for what nobody knows of, and given back */
	if (!base_words_make(base, chunk))
		return -ENOMEM;
	base_word_change(base, chunk, set, 0);
	return 0;
}

static int entries_read(struct base *base, uint64_t at, uint64_t end)
{
	struct map_entry entry[512];
	int err = 0;

	while (!err && at < end) {
		ssize_t n = pread(base->map_fd, entry, sizeof(entry), (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n >= 0 && n < (ssize_t)sizeof(*entry))
			break;
		for (ssize_t i = 0; !err && i < n / (ssize_t)sizeof(*entry); i++)
			err = entry_take(base, (at - MAP_HEAD) / sizeof(*entry) + (uint64_t)i, &entry[i]);
		at += n > 0 ? (uint64_t)n / sizeof(*entry) * sizeof(*entry) : 0;
	}
	return err;
}

/* A map is as sparse as its region. */
static int entries_scan(struct base *base)
{
	uint64_t limit = entry_at(chunk_end(base_end(0, atomic_load(&base->size))));
	off_t data = MAP_HEAD, hole;
	int err = 0;

	/* what lies beyond the region goes with its bytes */
	if (lseek(base->map_fd, 0, SEEK_END) > (off_t)limit && ftruncate(base->map_fd, (off_t)limit))
		return -errno;
	while (!err && (uint64_t)data < limit) {
		data = lseek(base->map_fd, data, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(base->map_fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		data -= data % (off_t)sizeof(struct map_entry);
		err = entries_read(base, (uint64_t)data, (uint64_t)hole < limit ? (uint64_t)hole : limit);
		data = hole;
	}
	return err;
}

/* The entries are gone for certain before there is a head that vouches for them. */
static int map_new(struct base *base, const struct map_head *head)
{
	int err;

	if (ftruncate(base->map_fd, 0) || (base->durable && fsync(base->map_fd)) || ftruncate(base->fd, 0))
		return -errno;
	err = base_map_write(base, head, sizeof(*head), 0);
	if (!err && base->durable && (fsync(base->map_fd) || fsync(base->fd)))
		err = -errno;
	return err;
}

int base_map_renew(struct base *base)
{
	struct map_head head;
	int fd, err;

	if (pread(base->map_fd, &head, sizeof(head), 0) != sizeof(head))
		return -EIO;
	if (unlink(base->map_path) && errno != ENOENT)
		return -errno;
	err = dirs_sync_parent(base->map_path);
	if (err)
		return err;
	fd = open(base->map_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = hold_file(fd);
	if (!err && pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		err = -EIO;
	if (!err)
		err = fsync(fd) ? -errno : dirs_sync_parent(base->map_path);
	if (err) {
		unlink(base->map_path);
		close(fd);
	}
	return err ? err : fd;
}

int base_map_open(struct base *base, const struct base_options *options)
{
	struct map_head want, found;
	struct stat st;
	ssize_t n;

	if (fstat(base->fd, &st))
		return -errno;
	if (strlen(options->identity) >= IDENTITY_MAX)
		return -ENAMETOOLONG;
	head_make(&want, options);
	n = pread(base->map_fd, &found, sizeof(found), 0);
	if (n < 0 && errno != EIO)
		return -errno;
	/* entries without checksums are worth nothing when somebody has taken the bytes away */
	if (n == sizeof(found) && *options->identity && !memcmp(&found, &want, sizeof(found)) && (base->durable || st.st_size))
		return entries_scan(base);
	return map_new(base, &want);
}
