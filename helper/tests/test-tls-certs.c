// SPDX-License-Identifier: GPL-2.0
/* Whose a certificate is, and what both sides are told when it is refused. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "pki.h"
#include "pki-cert.h"
#include "tls-names.h"
#include "tls-pair.h"

static char dir[] = "/tmp/test-tls-certs.XXXXXX";

static const char *in(const char *name)
{
	static char paths[8][128];
	static unsigned int n;
	char *path = paths[n++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* ---- names ---- */

static X509 *cert_of(const char *cn, int cn_len, const char *san)
{
	X509 *cert = X509_new();
	X509_EXTENSION *extension;

	if (cn)
		X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)cn, cn_len, -1, 0);
	if (!san)
		return cert;
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	return cert;
}

static bool has(const char *cn, const char *san, const char *name)
{
	X509 *cert = cert_of(cn, -1, san);
	bool is = tls_names_has(cert, name);

	X509_free(cert);
	return is;
}

static void test_names(void)
{
	static const char san[] = "DNS:one.example,IP:10.0.0.1,IP:fe80::1,DNS:*.wild.example";

	tap_ok(has("alice", san, "alice"), "the subject's CN is its name");
	tap_ok(has("alice", san, "one.example"), "so is a host's name");
	tap_ok(has("alice", san, "10.0.0.1") && has("alice", san, "fe80::1"), "and an address");
	tap_ok(has("alice", NULL, "alice"), "a CN needs no others beside it");
	tap_ok(!has(NULL, "DNS:one.example", "alice"), "without one there is none");
	tap_ok(!has("alice", san, "alic") && !has("alice", san, "alice2"), "a part of a name is none, nor is a longer one");
	tap_ok(!has("alice", san, "Alice"), "nor one that is written differently");
	tap_ok(!has("alice", san, "any.wild.example"), "a pattern in a certificate is no name of whom it fits");
	tap_ok(!has("alice", san, ".example"), "nor is a domain that of its hosts");
	tap_ok(!has("alice", san, "10.0.0.2") && !has("alice", san, ""), "nor another address, or nothing");
}

static void test_odd_names(void)
{
	X509 *cert = cert_of("alice\0.evil", 11, NULL);
	char name[128];

	tap_ok(!tls_names_has(cert, "alice"), "what is before a 0 is no name");
	X509_free(cert);
	cert = cert_of("a\nb\x1b[2J", -1, NULL);
	tls_names_show(cert, name, sizeof(name));
	tap_is(name, "a?b?[2J", "what a terminal would obey is not shown");
	X509_free(cert);
	cert = cert_of(NULL, 0, "DNS:x");
	tls_names_show(cert, name, sizeof(name));
	tap_is(name, "certificate", "one without a CN is shown");
	X509_free(cert);
}

/* ---- connections ---- */

static struct pki_made made;
static char why[256];

static void issue(const char *ca, const char *name)
{
	struct pki_request request = { .name = name, .days = 5, .hosts = { "127.0.0.1" }, .nr_hosts = 1 };

	if (pki_init(in(ca), &(struct pki_request){ .name = ca, .days = 9 }, &made, why, sizeof(why)) == -ENOENT ||
	    pki_issue(in(ca), NULL, &request, &made, why, sizeof(why)))
		printf("# %s\n", why), exit(99);
}

static void write_pem(const char *name, X509 *cert, EVP_PKEY *key)
{
	FILE *file = fopen(in(name), "w");

	chmod(in(name), 0600);
	if (cert ? !PEM_write_X509(file, cert) : !PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL))
		exit(98);
	fclose(file);
}

/* By the CA "ours", but over since yesterday. */
static void issue_old(void)
{
	struct pki_request request = { .name = "old", .days = 2, .hosts = { "127.0.0.1" }, .nr_hosts = 1 };
	struct pki_signer signer = { .begun_days_ago = 3 };
	FILE *file = fopen(in("ours/ca.crt"), "r");
	EVP_PKEY *key = pki_cert_key();
	X509 *cert;

	signer.cert = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	file = fopen(in("ours/ca.key"), "r");
	signer.key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	cert = pki_cert_make(key, &request, &signer);
	write_pem("ours/old.crt", cert, NULL);
	write_pem("ours/old.key", NULL, key);
	X509_free(cert);
	X509_free(signer.cert);
	EVP_PKEY_free(signer.key);
	EVP_PKEY_free(key);
}

static struct tls *end_of(const char *whose, const char *ca, bool server)
{
	char cert[128], key[128], ca_file[128];

	snprintf(cert, sizeof(cert), "%s/%s.crt", dir, whose);
	snprintf(key, sizeof(key), "%s/%s.key", dir, whose);
	snprintf(ca_file, sizeof(ca_file), "%s/%s/ca.crt", dir, ca);
	return side(&(struct tls_options){ .cert = cert, .key = key, .ca = ca_file, .host = "127.0.0.1", .server = server });
}

/* The client takes the handshake for done before the server has looked at its certificate. */
static void check_client(const char *whose, const char *ca_of_server, const char *server_says, const char *client_says)
{
	struct tls *client = end_of(whose, "ours", false), *server = end_of("ours/srv", ca_of_server, true);
	char byte;

	tap_ok(shake(client, server) == -EACCES, "%s: the server refuses it", whose);
	tap_ok(strstr(tls_why(server), server_says), "and says: %s", tls_why(server));
	carry(server, client);
	tap_number(tls_read(client, &byte, 1), -EACCES, "the client is refused, which is no error of the wire");
	tap_ok(strstr(tls_why(client), client_says), "and is told: %s", tls_why(client));
	tls_close(client);
	tls_close(server);
}

static void check_server(const char *whose, const char *client_says, const char *server_says)
{
	struct tls *client = end_of("ours/me", "ours", false), *server = end_of(whose, "ours", true);

	tap_ok(shake(client, server) == -EACCES, "%s: the client refuses it", whose);
	tap_ok(strstr(tls_why(client), client_says), "and says: %s", tls_why(client));
	tap_ok(strstr(tls_why(server), server_says), "the server is told: %s", tls_why(server));
	tls_close(client);
	tls_close(server);
}

static void test_refused(void)
{
	check_client("ours/old", "ours", "expired", "has expired");
	check_client("theirs/me", "ours", "not signed by the CA", "does not know the CA");
	check_server("ours/old", "expired", "has expired");
	check_server("theirs/me", "not signed by the CA", "does not know the CA");
}

static void test_peer(void)
{
	struct tls *client = end_of("ours/me", "ours", false), *server = end_of("ours/srv", "ours", true);

	tap_ok(!tls_peer_is(server, "me"), "nobody is anybody before the handshake");
	tap_number(shake(client, server), 0, "one that is good is let in");
	tap_is(tls_peer(server), "me", "by its name");
	tap_ok(tls_peer_is(server, "me") && tls_peer_is(client, "srv") && tls_peer_is(server, "127.0.0.1"), "which it has proved to be");
	tap_ok(!tls_peer_is(server, "srv") && !tls_peer_is(server, "psk:me"), "and no other, nor one by a key");
	tls_close(client);
	tls_close(server);
}

static void test_psk(void)
{
	struct tls_options options = { .psk = in("key") };
	struct tls *client, *server;
	FILE *file = fopen(in("key"), "w");

	fputs("me:000102030405060708090a0b0c0d0e0f\n", file);
	fclose(file);
	chmod(in("key"), 0600);
	client = side(&options);
	options.server = true;
	server = side(&options);
	tap_number(shake(client, server), 0, "one with the key is let in");
	tap_ok(tls_peer_is(server, "psk:me"), "as its identity");
	tap_ok(!tls_peer_is(server, "me") && !tls_peer_is(server, "psk:m") && !tls_peer_is(server, "psk:"), "and is nobody else, nor has it a name");
	tls_close(client);
	tls_close(server);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 99;
	test_names();
	test_odd_names();
	issue("ours", "srv");
	issue("ours", "me");
	issue("theirs", "me");
	issue_old();
	test_refused();
	test_peer();
	test_psk();
	tap_ok(tls_equal("abc", "abd", 2) && !tls_equal("abc", "abd", 3), "what only some may know is compared whole");
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
