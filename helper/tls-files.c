// SPDX-License-Identifier: GPL-2.0
/* tls-files: reading and checking of key files and named credentials. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"
#include "text.h"
#include "tls-files.h"

#define FILE_MAX 16384

static int check_private(int fd, const char *file, char *why, size_t why_len)
{
	struct stat st;

	if (fstat(fd, &st))
		return text_fail(why, why_len, -errno, "%s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return text_fail(why, why_len, -EINVAL, "%s is no regular file", file);
	if (st.st_mode & 077)
		return text_fail(why, why_len, -EPERM, "%s can be read by others: chmod 600 it", file);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return text_fail(why, why_len, -EPERM, "%s belongs to another user", file);
	return 0;
}

static int open_private(const char *file, char *why, size_t why_len)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int ret;

	if (fd < 0)
		return text_fail(why, why_len, -errno, "%s: %s", file, strerror(errno));
	ret = check_private(fd, file, why, why_len);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int tls_private_check(const char *file, char *why, size_t why_len)
{
	int fd = open_private(file, why, why_len);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* The whole of a small private file, NUL-terminated. */
static int read_private(const char *file, char *text, size_t room, char *why, size_t why_len)
{
	int fd = open_private(file, why, why_len);
	ssize_t len;

	if (fd < 0)
		return fd;
	len = read(fd, text, room - 1);
	close(fd);
	if (len < 0)
		return text_fail(why, why_len, -errno, "%s: %s", file, strerror(errno));
	if ((size_t)len == room - 1 || memchr(text, 0, (size_t)len))
		return text_fail(why, why_len, -EINVAL, "%s is no credential", file);
	text[len] = 0;
	return 0;
}

static int parse_hex(const char *hex, struct tls_key *key)
{
	size_t n = strlen(hex);

	if (n % 2 || n < 2 * TLS_KEY_MIN || n > 2 * TLS_KEY_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n / 2; i++) {
		int high = text_hex_digit(hex[2 * i]), low = text_hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		key->bytes[i] = (unsigned char)(high << 4 | low);
	}
	key->length = n / 2;
	return 0;
}

static int parse_key(char *line, struct tls_key *key)
{
	char *hex = strrchr(line, ':');

	if (!hex || hex == line || (size_t)(hex - line) > TLS_IDENTITY_MAX)
		return -EINVAL;
	*hex = 0;
	memcpy(key->identity, line, (size_t)(hex - line) + 1);
	return parse_hex(hex + 1, key);
}

int tls_key_read(const char *file, struct tls_key *key, char *why, size_t why_len)
{
	char text[FILE_MAX];
	int ret = read_private(file, text, sizeof(text), why, why_len);

	if (ret)
		return ret;
	text[strcspn(text, "\r\n")] = 0;
	memset(key, 0, sizeof(*key));
	ret = parse_key(text, key);
	explicit_bzero(text, sizeof(text));
	if (ret)
		return text_fail(why, why_len, ret, "%s must hold one line IDENTITY:HEX, of %u to %u bytes",
			    file, TLS_KEY_MIN, TLS_KEY_MAX);
	return 0;
}

/* ---- named credentials ---- */

static int set_path(char *to, const char *dir, const char *path)
{
	int len;

	if (*path == '/')
		len = snprintf(to, PATH_MAX, "%s", path);
	else
		len = snprintf(to, PATH_MAX, "%s/%s", dir, path);
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int parse_line(const char *dir, char *line, struct tls_credential *credential)
{
	char *value;

	line += strspn(line, " \t");
	line[strcspn(line, "\r\n")] = 0;
	if (!*line || *line == '#')
		return 0;
	value = strchr(line, '=');
	if (!value)
		return -EINVAL;
	*value++ = 0;
	if (!strcmp(line, "cert"))
		return set_path(credential->cert, dir, value);
	if (!strcmp(line, "key"))
		return set_path(credential->key, dir, value);
	if (!strcmp(line, "ca"))
		return set_path(credential->ca, dir, value);
	return -EINVAL;
}

static int parse_lines(const char *dir, char *text, struct tls_credential *credential)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int ret = parse_line(dir, line, credential);

		if (ret)
			return ret;
	}
	return 0;
}

int tls_credential_read(const char *dir, const char *name, struct tls_credential *credential,
			char *why, size_t why_len)
{
	char file[PATH_MAX], text[FILE_MAX];
	int ret;

	memset(credential, 0, sizeof(*credential));
	if (!*name || strchr(name, '/') || *name == '.')
		return text_fail(why, why_len, -EINVAL, "\"%s\" is no name of a credential in %s", name, dir);
	if (set_path(file, dir, name))
		return text_fail(why, why_len, -ENAMETOOLONG, "the credential's name is too long");
	ret = read_private(file, text, sizeof(text), why, why_len);
	if (ret)
		return ret;
	if (strncmp(text, "cert=", 5) && strncmp(text, "key=", 4) && strncmp(text, "ca=", 3) &&
	    *text != '#')
		ret = set_path(credential->psk, dir, name);
	else
		ret = parse_lines(dir, text, credential);
	explicit_bzero(text, sizeof(text));
	if (ret)
		return text_fail(why, why_len, ret, "%s is neither a key nor cert=, key= and ca= lines",
			    file);
	return 0;
}

void tls_credential_use(const struct tls_credential *credential, struct tls_options *options)
{
	if (*credential->psk)
		options->psk = credential->psk;
	if (*credential->cert)
		options->cert = credential->cert;
	if (*credential->key)
		options->key = credential->key;
	if (*credential->ca)
		options->ca = credential->ca;
}
