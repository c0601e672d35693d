// SPDX-License-Identifier: GPL-2.0
/* TLS as a filter: handshakes with the right and the wrong key, data both ways, files that must not be believed. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "tls.h"
#include "tls-cipher.h"
#include "tls-files.h"
#include "tls-pair.h"

static char dir[] = "/tmp/test-tls.XXXXXX";

/* in place of tls-cipher.c */
static bool is_chacha_faster;

bool tls_cipher_is_chacha_faster(void)
{
	return is_chacha_faster;
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
	static char paths[16][64];
	static int n;
	char *path = paths[n++ % 16];
	FILE *file;

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) || chmod(path, mode))
		exit(99);
	return path;
}

static int shake_files(const char *client_file, const char *server_file)
{
	struct tls *client = side(&(struct tls_options){ .psk = client_file });
	struct tls *server = side(&(struct tls_options){ .psk = server_file, .server = true });
	int ret = shake(client, server);

	if (ret)
		printf("# client: %s; server: %s\n", tls_why(client), tls_why(server));
	tls_close(client);
	tls_close(server);
	return ret;
}

#define KEY_A "alice:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B "alice:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_C "carol:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static void test_psk(void)
{
	const char *a = write_file("a", KEY_A, 0600);

	tap_number(shake_files(a, a), 0, "the same key on both sides is let in");
	tap_number(shake_files(write_file("b", KEY_B, 0600), a), -EACCES, "another key is refused");
	tap_number(shake_files(write_file("c", KEY_C, 0600), a), -EACCES,
		   "another identity is refused");
}

/* The client's host decides, whatever the server's would like. */
static void test_cipher(bool chacha, const char *name)
{
	const char *a = write_file("a", KEY_A, 0600);
	struct tls *client, *server;

	is_chacha_faster = chacha;
	client = side(&(struct tls_options){ .psk = a });
	is_chacha_faster = !chacha;
	server = side(&(struct tls_options){ .psk = a, .server = true });
	if (shake(client, server))
		exit(99);
	tap_is(tls_cipher_name(server), name, "the client's faster cipher is taken");
	tls_close(client);
	tls_close(server);
}

static void test_data(void)
{
	const char *a = write_file("a", KEY_A, 0600);
	struct tls *client = side(&(struct tls_options){ .psk = a });
	struct tls *server = side(&(struct tls_options){ .psk = a, .server = true });
	static char in[200000], out[200000];
	size_t got = 0;
	ptrdiff_t n;

	shake(client, server);
	tap_is(tls_peer(server), "alice", "the server knows who called");
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7 + i / 256);
	tap_number(tls_write(client, in, sizeof(in)), 0, "more than a record is written");
	carry(client, server);
	while ((n = tls_read(server, out + got, sizeof(out) - got)) > 0)
		got += (size_t)n;
	tap_ok(got == sizeof(in) && !memcmp(in, out, got), "and arrives whole");
	tap_number(n, -EAGAIN, "then there is nothing");
	tls_finish(client);
	carry(client, server);
	tap_number(tls_read(server, out, 1), 0, "an orderly end is seen");
	tls_close(client);
	tls_close(server);
}

/* A client that speaks TLS but whose bytes are garbled on the way. */
static void test_garbled(void)
{
	const char *a = write_file("a", KEY_A, 0600);
	struct tls *client = side(&(struct tls_options){ .psk = a });
	struct tls *server = side(&(struct tls_options){ .psk = a, .server = true });
	char copy[4096];
	size_t len;

	if (shake(client, server) || tls_write(client, "hello", 5))
		exit(99);
	len = tls_pull(client, copy, sizeof(copy));
	copy[len - 3] ^= 1;
	tls_feed(server, copy, len);
	tap_number(tls_read(server, copy, sizeof(copy)), -EPROTO, "a changed bit is seen");
	tls_close(client);
	server = (tls_close(server), side(&(struct tls_options){ .psk = a, .server = true }));
	tls_feed(server, "GET / HTTP/1.0\r\n\r\n", 18);
	tap_number(tls_handshake(server), -EACCES, "what is not TLS is refused");
	tls_close(server);
}

static int refused(struct tls_options options)
{
	struct tls_context *context;
	char why[256];
	int ret = tls_context_open(&context, &options, why, sizeof(why));

	if (!ret)
		tls_context_put(context);
	else
		printf("# %s\n", why);
	return ret;
}

static void test_files(void)
{
	const char *open_key = write_file("open", KEY_A, 0640);
	const char *short_key = write_file("short", "alice:00010203\n", 0600);
	const char *no_key = write_file("none", "just text\n", 0600);

	tap_number(refused((struct tls_options){ .psk = open_key }), -EPERM,
		   "a key that others can read is refused");
	tap_number(refused((struct tls_options){ .psk = short_key }), -EINVAL, "a short key is refused");
	tap_number(refused((struct tls_options){ .psk = no_key }), -EINVAL, "no key is refused");
	tap_number(refused((struct tls_options){ .psk = "/nonexistent" }), -ENOENT, "no file is told");
	tap_number(refused((struct tls_options){ .cert = no_key }), -EINVAL,
		   "a certificate alone is refused");
}

static void test_credentials(void)
{
	struct tls_credential credential;
	char why[256];

	write_file("backup", KEY_A, 0600);
	write_file("certs", "cert=c.pem\nkey=/abs/k.pem\nca=ca.pem\n", 0600);
	tap_number(tls_credential_read(dir, "backup", &credential, why, sizeof(why)), 0,
		   "a key is a credential");
	tap_ok(strstr(credential.psk, "/backup") && !*credential.cert, "it is taken as a key");
	tap_number(tls_credential_read(dir, "certs", &credential, why, sizeof(why)), 0,
		   "lines are a credential");
	tap_ok(strstr(credential.cert, "/c.pem") && *credential.cert == '/' &&
	       !strcmp(credential.key, "/abs/k.pem"), "relative paths are the directory's");
	tap_number(tls_credential_read(dir, "../a", &credential, why, sizeof(why)), -EINVAL,
		   "a name that is a path is refused");
}

/* Certificates of a CA made here, with the openssl program. */
static bool make_certs(void)
{
	char command[2048];

	snprintf(command, sizeof(command),
		 "cd %s && exec 2>/dev/null && "
		 "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		 "-subj /CN=ca -keyout ca.key -out ca.pem && for h in one two; do "
		 "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$h "
		 "-addext subjectAltName=DNS:$h,IP:127.0.0.1 -keyout $h.key -out $h.csr && "
		 "openssl x509 -req -in $h.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
		 "-copy_extensions copy -out $h.pem && chmod 600 $h.key || exit 1; done", dir);
	return system(command) == 0;
}

static struct tls *cert_side(const char *name, const char *host, bool server)
{
	char cert[128], key[128], ca[128];

	snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
	snprintf(key, sizeof(key), "%s/%s.key", dir, name);
	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	return side(&(struct tls_options){ .cert = cert, .key = key, .ca = ca, .host = host,
					   .server = server });
}

static void test_certs(void)
{
	static const struct { const char *host; int wanted; } cases[] = {
		{ "one", 0 }, { "127.0.0.1", 0 }, { "other", -EACCES }, { "127.0.0.2", -EACCES },
	};

	if (!make_certs()) {
		tap_skip("certificates", "no openssl program");
		return;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls *client = cert_side("two", cases[i].host, false);
		struct tls *server = cert_side("one", NULL, true);

		tap_number(shake(client, server), cases[i].wanted, cases[i].host);
		if (!cases[i].wanted)
			tap_is(tls_peer(server), "two", "the client's certificate names it");
		tls_close(client);
		tls_close(server);
	}
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 99;
	test_psk();
	test_cipher(false, "TLS_AES_128_GCM_SHA256");
	test_cipher(true, "TLS_CHACHA20_POLY1305_SHA256");
	test_data();
	test_garbled();
	test_files();
	test_credentials();
	test_certs();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		return 99;
	return tap_end();
}
