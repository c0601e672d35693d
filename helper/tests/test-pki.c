// SPDX-License-Identifier: GPL-2.0
/* A private CA in two steps, what its certificates are good for, and files that it must not touch. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki.h"
#include "pki-cert.h"
#include "tls-pair.h"

static char dir[] = "/tmp/test-pki.XXXXXX";
static char why[512];
static struct pki_made made;
static char ca_until[32];

static const char *in(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned int n;
	char *path = paths[n++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static int init(const char *name)
{
	return pki_init(in(name), &(struct pki_request){ .name = "our-ca", .days = 10 }, &made, why, sizeof(why));
}

static int issue(const char *out, const char *name, const char *host, bool replace)
{
	struct pki_request request = { .name = name, .days = 5, .hosts = { host }, .nr_hosts = host ? 1 : 0, .replace = replace };

	return pki_issue(in("ca"), out ? in(out) : NULL, &request, &made, why, sizeof(why));
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	return stat(in(name), &st) ? 0 : st.st_mode & 07777;
}

static void read_file(const char *name, char text[4096])
{
	int fd = open(in(name), O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, 4095);

	text[n > 0 ? n : 0] = 0;
	close(fd);
}

/* ---- files ---- */

static void test_files(void)
{
	char before[4096], after[4096];

	umask(0);
	tap_number(init("ca"), 0, "a CA is made, and its directory");
	strcpy(ca_until, made.until);
	tap_number(mode_of("ca/ca.key"), 0600, "its key is its owner's, whatever the umask");
	tap_number(mode_of("ca/ca.crt"), 0644, "its certificate is for all");
	read_file("ca/ca.key", before);
	tap_number(init("ca"), -EEXIST, "a second one is refused");
	tap_ok(strstr(why, "stays as it is"), "with a sentence");
	read_file("ca/ca.key", after);
	tap_is(after, before, "and the first one's key is what it was");
	tap_number(issue("one", "one", "127.0.0.1", false), 0, "a certificate is issued elsewhere");
	tap_ok(mode_of("one/one.key") == 0600 && mode_of("one/ca.crt") == 0644, "with its key, and the CA's certificate");
	read_file("one/one.key", before);
	tap_number(issue("one", "one", NULL, false), -EEXIST, "another of that name is refused");
	read_file("one/one.key", after);
	tap_is(after, before, "and the key is what it was");
	unlink(in("one/one.crt"));
	tap_number(issue("one", "one", NULL, false), -EEXIST, "nor is a key without a certificate replaced");
	tap_ok(access(in("one/one.crt"), F_OK), "of which no half is written");
	tap_number(issue("one", "one", "127.0.0.1", true), 0, "unless that is asked for");
	read_file("one/one.key", after);
	tap_ok(strcmp(after, before), "then the key is another one");
	tap_number(issue(NULL, "two", "two.example", false), 0, "without a place it is put beside the CA");
}

static void test_other_ca(void)
{
	tap_number(init("other"), 0, "another CA is made");
	tap_number(issue("other", "three", NULL, false), -EEXIST, "where another CA's certificate is, nothing is put");
	tap_ok(access(in("other/three.key"), F_OK), "no key either");
}

/* ---- what makes no sense ---- */

static void test_refused(void)
{
	static const char *const names[] = { "", "../x", "a b", "-x", ".x", "*", "psk:x", "a=b", "ca",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	static const char *const hosts[] = { "", "a,DNS:b", "*.example", "a..b", ".a", "a.", "a b", "1.2.3.4/8" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		tap_ok(issue("bad", names[i], NULL, false) == -EINVAL, "\"%s\" is no name", names[i]);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		tap_ok(issue("bad", "x", hosts[i], false) == -EINVAL, "\"%s\" is no host", hosts[i]);
	tap_ok(access(in("bad"), F_OK), "and nothing is made for them");
	tap_number(pki_issue(in("none"), NULL, &(struct pki_request){ .name = "x", .days = 1 }, &made, why, sizeof(why)), -ENOENT,
		   "without a CA there is no certificate");
	tap_ok(strstr(why, "pki init"), "and how one is made is said");
	chmod(in("ca/ca.key"), 0644);
	tap_number(issue(NULL, "x", NULL, false), -EPERM, "a CA whose key others can read is not used");
	chmod(in("ca/ca.key"), 0600);
	rename(in("ca/ca.key"), in("ca/kept"));
	if (link(in("other/ca.key"), in("ca/ca.key")))
		exit(99);
	tap_number(issue(NULL, "x", NULL, false), -EINVAL, "nor one whose key is another's");
	unlink(in("ca/ca.key"));
	rename(in("ca/kept"), in("ca/ca.key"));
}

/* ---- what they are good for ---- */

static struct tls *end_of(const char *where, const char *name, const char *ca, const char *host, bool server)
{
	char cert[PATH_MAX], key[PATH_MAX];

	snprintf(cert, sizeof(cert), "%s/%s/%s.crt", dir, where, name);
	snprintf(key, sizeof(key), "%s/%s/%s.key", dir, where, name);
	return side(&(struct tls_options){ .cert = cert, .key = key, .ca = in(ca), .host = host, .server = server });
}

static int meet(struct tls *client, struct tls *server)
{
	int ret = shake(client, server);

	if (ret)
		printf("# client: %s; server: %s\n", tls_why(client), tls_why(server));
	tls_close(client);
	tls_close(server);
	return ret;
}

static void test_use(void)
{
	tap_number(meet(end_of("ca", "two", "ca/ca.crt", "127.0.0.1", false), end_of("one", "one", "one/ca.crt", NULL, true)), 0,
		   "one serves at its address, two is its client");
	tap_number(meet(end_of("one", "one", "one/ca.crt", "two.example", false), end_of("ca", "two", "ca/ca.crt", NULL, true)), 0,
		   "and the other way round, by the host's name");
	tap_number(meet(end_of("one", "one", "one/ca.crt", "two", false), end_of("ca", "two", "ca/ca.crt", NULL, true)), 0,
		   "a certificate's own name is a host's as well");
	tap_number(meet(end_of("one", "one", "one/ca.crt", "three", false), end_of("ca", "two", "ca/ca.crt", NULL, true)), -EACCES,
		   "another host is not served by it");
	tap_number(meet(end_of("ca", "two", "other/ca.crt", "127.0.0.1", false), end_of("one", "one", "one/ca.crt", NULL, true)),
		   -EACCES, "nor who trusts another CA");
	tap_number(issue("one", "one", NULL, true), 0, "it is renewed, with no host said");
	tap_number(meet(end_of("ca", "two", "ca/ca.crt", "127.0.0.1", false), end_of("one", "one", "one/ca.crt", NULL, true)), 0,
		   "and is called as it was");
}

static void test_times(void)
{
	struct pki_request longer = { .name = "long", .days = 99 }, week = { .name = "old", .days = 7 };
	EVP_PKEY *key = pki_cert_key();
	X509 *cert;

	tap_number(pki_issue(in("ca"), NULL, &longer, &made, why, sizeof(why)), 0, "one that is to be good for longer than its CA");
	tap_is(made.until, ca_until, "is good for as long as that");
	cert = pki_cert_make(key, &week, &(struct pki_signer){ .key = key, .begun_days_ago = 8 });
	tap_ok(cert && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0, "a week that began eight days ago is over");
	X509_free(cert);
	cert = pki_cert_make(key, &week, &(struct pki_signer){ .key = key });
	tap_ok(X509_cmp_current_time(X509_get0_notAfter(cert)) > 0 && X509_cmp_current_time(X509_get0_notBefore(cert)) < 0,
	       "one that begins now is good now");
	X509_free(cert);
	EVP_PKEY_free(key);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 99;
	test_files();
	test_other_ca();
	test_refused();
	test_use();
	test_times();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
