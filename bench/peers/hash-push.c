// SPDX-License-Identifier: GPL-2.0
/*
 * The peer of pushes that needs no kernel module: a mapped file whose changes are found by hashing. Each chunk's SHA-256 is compared with
 * that of the last time, and chunks that differ are sent in one TCP stream to a receiver, which writes them and answers after an fsync.
 *
 *   hash-push hash CHUNK FILE HASHES                  the hashes of what both sides have
 *   hash-push receive ADDRESS PORT FILE               one sender after another
 *   hash-push send CHUNK ADDRESS PORT FILE HASHES     returns when all is durable there; HASHES is brought up to date
 *
 * SHA-256 is what a chunk may be taken for equal by, and OpenSSL has it with the CPU's instructions for it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define HASH	32
#define MOST	(16u << 20)	/* of a chunk */

/* Before each chunk; one of no bytes is the last. Both sides are of one build. */
struct head {
	uint64_t offset;
	uint64_t len;
};

struct mapped {
	const char *path;
	unsigned char *bytes;
	size_t size;
	size_t chunk;
};

static struct mapped map(const char *path, const char *chunk)
{
	struct mapped file = { .path = path, .chunk = strtoul(chunk, NULL, 0) };
	int fd = open(path, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	if (!file.chunk || file.chunk > MOST)
		errx(2, "%s is no size of a chunk", chunk);
	file.size = st.st_size;
	file.bytes = mmap(NULL, file.size, PROT_READ, MAP_SHARED, fd, 0);
	if (file.bytes == MAP_FAILED)
		err(1, "mmap of %s", path);
	close(fd);
	return file;
}

static size_t chunks(const struct mapped *file)
{
	return (file->size + file->chunk - 1) / file->chunk;
}

static size_t length(const struct mapped *file, size_t i)
{
	size_t left = file->size - i * file->chunk;

	return left < file->chunk ? left : file->chunk;
}

static void hash(const struct mapped *file, size_t i, unsigned char *to)
{
	unsigned int len = HASH;

	if (EVP_Digest(file->bytes + i * file->chunk, length(file, i), to, &len, EVP_sha256(), NULL) != 1)
		errx(1, "SHA-256 failed");
}

static void write_hashes(const char *path, const unsigned char *hashes, size_t count)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(hashes, HASH, count, f) != count || fclose(f))
		err(1, "%s", path);
}

static void hash_all(const char *chunk, const char *path, const char *to)
{
	struct mapped file = map(path, chunk);
	unsigned char *hashes = calloc(chunks(&file), HASH);

	if (!hashes)
		err(1, "memory");
	for (size_t i = 0; i < chunks(&file); i++)
		hash(&file, i, hashes + i * HASH);
	write_hashes(to, hashes, chunks(&file));
}

/* ---- the connection ---- */

static struct sockaddr_in address(char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };

	if (inet_pton(AF_INET, argv[0], &at.sin_addr) != 1)
		errx(2, "%s is no address", argv[0]);
	return at;
}

/* Both parts, whatever the socket takes at once */
static void send_all(int to, struct iovec *part, int parts)
{
	ssize_t n;

	while (parts) {
		n = writev(to, part, parts);
		if (n < 0)
			err(1, "the connection");
		for (; parts && (size_t)n >= part->iov_len; part++, parts--)
			n -= part->iov_len;
		if (parts) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= n;
		}
	}
}

static int receive_all(int from, void *to, size_t len)
{
	return recv(from, to, len, MSG_WAITALL) == (ssize_t)len;
}

static void send_chunk(int to, uint64_t offset, void *bytes, size_t len)
{
	struct head head = { offset, len };
	struct iovec parts[] = { { &head, sizeof(head) }, { bytes, len } };

	send_all(to, parts, len ? 2 : 1);
}

static void send_changes(char **argv)
{
	struct mapped file = map(argv[3], argv[0]);
	struct sockaddr_in at = address(argv + 1);
	int to = socket(AF_INET, SOCK_STREAM, 0), fd = open(argv[4], O_RDONLY), one = 1;
	size_t bytes = chunks(&file) * HASH, changed = 0;
	unsigned char *last = malloc(bytes), found[HASH];
	char done;

	if (!last || fd < 0 || read(fd, last, bytes) != (ssize_t)bytes)
		err(1, "%s", argv[4]);
	if (connect(to, (struct sockaddr *)&at, sizeof(at)))
		err(1, "%s", argv[1]);
	setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (size_t i = 0; i < chunks(&file); i++) {
		hash(&file, i, found);
		if (!memcmp(found, last + i * HASH, HASH))
			continue;
		memcpy(last + i * HASH, found, HASH);
		send_chunk(to, i * file.chunk, file.bytes + i * file.chunk, length(&file, i));
		changed++;
	}
	send_chunk(to, 0, NULL, 0);
	if (!receive_all(to, &done, 1) || done != 'd')
		errx(1, "the receiver failed");
	write_hashes(argv[4], last, chunks(&file));
	printf("%zu of %zu chunks\n", changed, chunks(&file));
}

/* Until the sender's last chunk; nothing is said where anything failed */
static void receive_changes(int from, int fd, char *buf)
{
	struct head head;

	while (receive_all(from, &head, sizeof(head))) {
		if (!head.len) {
			if (fsync(fd) || send(from, "d", 1, MSG_NOSIGNAL) != 1)
				warn("fsync, or the answer");
			return;
		}
		if (head.len > MOST || !receive_all(from, buf, head.len) ||
		    pwrite(fd, buf, head.len, head.offset) != (ssize_t)head.len) {
			warn("a chunk at %ju", (uintmax_t)head.offset);
			return;
		}
	}
}

static void receive(char **argv)
{
	struct sockaddr_in at = address(argv);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), fd = open(argv[2], O_WRONLY), from;
	char *buf = malloc(MOST);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!buf || fd < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4))
		err(1, "%s, or the socket", argv[2]);
	while ((from = accept(listener, NULL, NULL)) >= 0) {
		receive_changes(from, fd, buf);
		close(from);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "hash") && argc == 5)
		hash_all(argv[2], argv[3], argv[4]);
	else if (!strcmp(what, "receive") && argc == 5)
		receive(argv + 2);
	else if (!strcmp(what, "send") && argc == 7)
		send_changes(argv + 2);
	else
		errx(2, "usage: hash-push hash CHUNK FILE HASHES | receive ADDRESS PORT FILE | send CHUNK ADDRESS PORT FILE HASHES");
	return 0;
}
