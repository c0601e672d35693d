// SPDX-License-Identifier: GPL-2.0
/* pki: see pki.h. */
#include <errno.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "dirs.h"
#include "pki.h"
#include "pki-cert.h"
#include "pki-save.h"
#include "tls-files.h"

/* What is said when something fails. */
struct why {
	char *text;
	size_t len;
};

static int fail(const struct why *why, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(const struct why *why, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->text, why->len, fmt, args);
	va_end(args);
	ERR_clear_error();
	return error;
}

static int fail_crypto(const struct why *why, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return fail(why, -EIO, "%s: %s", what, reason ? reason : "OpenSSL does not say why");
}

/* ---- what was asked for ---- */

/* It becomes the name of a file, a word of --allow, and a line of a log. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > PKI_NAME_MAX || !isalnum((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-@", *name))
			return false;
	return true;
}

static int check_request(const struct pki_request *request, const struct why *why)
{
	if (!is_name(request->name))
		return fail(why, -EINVAL, "\"%s\" is no name for a certificate: write letters, digits and ._-@, %u at most",
			    request->name, PKI_NAME_MAX);
	if (!request->days || request->days > PKI_DAYS_MAX)
		return fail(why, -EINVAL, "a certificate is good for 1 to %u days", PKI_DAYS_MAX);
	for (unsigned int i = 0; i < request->nr_hosts; i++)
		if (!pki_cert_is_host(request->hosts[i]))
			return fail(why, -EINVAL, "\"%s\" is neither a host's name nor an address", request->hosts[i]);
	return 0;
}

/* ---- files ---- */

static int make_dir(const char *dir, const struct why *why)
{
	int ret = access(dir, F_OK) ? dirs_make(dir, 0700) : 0;

	return ret ? fail(why, ret, "%s can't be made: %s", dir, strerror(-ret)) : 0;
}

static int open_dir(const char *dir, const struct why *why)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : fail(why, -errno, "%s: %s", dir, strerror(errno));
}

/* A PEM text of either; the memory is wiped with the BIO. */
static BIO *as_pem(X509 *cert, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	bool good = bio && (cert ? PEM_write_bio_X509(bio, cert) :
				   PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) == 1;

	if (good)
		return bio;
	BIO_free(bio);
	return NULL;
}

static int save_pem(int dir_fd, const char *name, mode_t mode, BIO *pem, bool replace)
{
	char *data;
	long len = pem ? BIO_get_mem_data(pem, &data) : 0;
	int ret = len > 0 ? pki_save(dir_fd, name, mode, data, (size_t)len, replace) : -ENOMEM;

	BIO_free(pem);
	return ret;
}

static int save_failed(int error, const char *dir, const char *name, const struct why *why)
{
	if (error == -EEXIST)
		return fail(why, error, "%s/%s is there already, and stays as it is", dir, name);
	return fail(why, error, "%s/%s can't be written: %s", dir, name, strerror(-error));
}

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static void pair_free(struct pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
}

/* The key first: a certificate without one is of no use, and would stand in the way. */
static int save_pair(const char *dir, const char *name, const struct pair *pair, bool replace, const struct why *why)
{
	char cert[PKI_NAME_MAX + 8], key[PKI_NAME_MAX + 8];
	int fd = open_dir(dir, why), ret;

	if (fd < 0)
		return fd;
	snprintf(cert, sizeof(cert), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	if (!replace && !faccessat(fd, cert, F_OK, AT_SYMLINK_NOFOLLOW)) {
		close(fd);
		return save_failed(-EEXIST, dir, cert, why);
	}
	ret = save_pem(fd, key, 0600, as_pem(NULL, pair->key), replace);
	if (ret) {
		save_failed(ret, dir, key, why);
	} else {
		ret = save_pem(fd, cert, 0644, as_pem(pair->cert, NULL), replace);
		if (ret)
			save_failed(ret, dir, cert, why);
		if (ret && !replace)
			unlinkat(fd, key, 0);
	}
	fsync(fd);
	close(fd);
	return ret;
}

static void say_made(struct pki_made *made, const char *ca_dir, const char *dir, const char *name, const X509 *cert)
{
	struct tm tm = { 0 };

	snprintf(made->cert, sizeof(made->cert), "%s/%s.crt", dir, name);
	snprintf(made->key, sizeof(made->key), "%s/%s.key", dir, name);
	snprintf(made->ca, sizeof(made->ca), "%s/ca.crt", ca_dir);
	ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm);
	strftime(made->until, sizeof(made->until), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* ---- the CA ---- */

static int read_cert(const char *file, X509 **cert, const struct why *why)
{
	FILE *stream = fopen(file, "re");

	if (!stream)
		return fail(why, -errno, "%s: %s", file, strerror(errno));
	*cert = PEM_read_X509(stream, NULL, NULL, NULL);
	fclose(stream);
	return *cert ? 0 : fail(why, -EINVAL, "%s is no certificate", file);
}

/* One with a passphrase is not asked for it here. */
static int no_passphrase(char *text, int len, int writes, void *arg)
{
	return -1;
}

static int read_key(const char *file, EVP_PKEY **key, const struct why *why)
{
	int ret = tls_private_check(file, why->text, why->len);
	FILE *stream;

	if (ret)
		return ret;
	stream = fopen(file, "re");
	if (!stream)
		return fail(why, -errno, "%s: %s", file, strerror(errno));
	*key = PEM_read_PrivateKey(stream, NULL, no_passphrase, NULL);
	fclose(stream);
	return *key ? 0 : fail(why, -EINVAL, "%s is no private key without a passphrase", file);
}

static int check_ca(const char *dir, const struct pair *ca, const struct why *why)
{
	if (X509_check_private_key(ca->cert, ca->key) != 1)
		return fail(why, -EINVAL, "%s/ca.key is not the key of %s/ca.crt", dir, dir);
	if (X509_check_ca(ca->cert) != 1)
		return fail(why, -EINVAL, "%s/ca.crt is no certificate of a CA", dir);
	if (X509_cmp_current_time(X509_get0_notAfter(ca->cert)) <= 0)
		return fail(why, -EINVAL, "%s/ca.crt has expired: make another CA", dir);
	return 0;
}

static int read_ca(const char *dir, struct pair *ca, const struct why *why)
{
	char file[PATH_MAX];
	int ret;

	snprintf(file, sizeof(file), "%s/ca.crt", dir);
	ret = read_cert(file, &ca->cert, why);
	if (ret == -ENOENT)
		return fail(why, ret, "there is no CA in %s: 'regionctl pki init %s' makes one", dir, dir);
	snprintf(file, sizeof(file), "%s/ca.key", dir);
	if (!ret)
		ret = read_key(file, &ca->key, why);
	return ret ? ret : check_ca(dir, ca, why);
}

static int make_ca(const char *dir, const struct pki_request *request, struct pair *ca, const struct why *why)
{
	ca->key = pki_cert_key();
	ca->cert = ca->key ? pki_cert_make(ca->key, request, &(struct pki_signer){ .key = ca->key }) : NULL;
	if (!ca->cert)
		return fail_crypto(why, "the CA can't be made");
	return save_pair(dir, "ca", ca, false, why);
}

int pki_init(const char *dir, const struct pki_request *request, struct pki_made *made, char *text, size_t len)
{
	struct why why = { text, len };
	struct pair ca = { NULL, NULL };
	int ret = check_request(request, &why);

	if (!ret)
		ret = make_dir(dir, &why);
	if (ret)
		return ret;
	ret = make_ca(dir, request, &ca, &why);
	if (!ret)
		say_made(made, dir, dir, "ca", ca.cert);
	pair_free(&ca);
	return ret;
}

/* ---- certificates ---- */

/* Beside what it has signed; another CA's is not replaced. */
static int put_ca(const char *out, X509 *ca, const struct why *why)
{
	char file[PATH_MAX];
	X509 *other = NULL;
	int fd, ret;

	snprintf(file, sizeof(file), "%s/ca.crt", out);
	if (!access(file, F_OK)) {
		ret = read_cert(file, &other, why);
		if (!ret && X509_cmp(other, ca))
			ret = fail(why, -EEXIST, "%s is another CA's, and stays as it is", file);
		X509_free(other);
		return ret;
	}
	fd = open_dir(out, why);
	if (fd < 0)
		return fd;
	ret = save_pem(fd, "ca.crt", 0644, as_pem(ca, NULL), false);
	close(fd);
	return ret ? save_failed(ret, out, "ca.crt", why) : 0;
}

static int issue(const char *out, const struct pki_request *request, const struct pair *ca, struct pair *pair,
		 const struct why *why)
{
	struct pki_signer signer = { .cert = ca->cert, .key = ca->key };
	char file[PATH_MAX];

	/* one that is renewed goes on being called as it was; there may be none */
	snprintf(file, sizeof(file), "%s/%s.crt", out, request->name);
	if (request->replace && read_cert(file, &signer.like, why))
		signer.like = NULL;
	pair->key = pki_cert_key();
	pair->cert = pair->key ? pki_cert_make(pair->key, request, &signer) : NULL;
	X509_free(signer.like);
	if (!pair->cert)
		return fail_crypto(why, "the certificate can't be made");
	return save_pair(out, request->name, pair, request->replace, why);
}

int pki_issue(const char *dir, const char *out, const struct pki_request *request, struct pki_made *made, char *text,
	      size_t len)
{
	struct why why = { text, len };
	struct pair ca = { NULL, NULL }, pair = { NULL, NULL };
	int ret = check_request(request, &why);

	if (!ret && !strcmp(request->name, "ca"))
		ret = fail(&why, -EINVAL, "\"ca\" is the CA's own name");
	if (!ret)
		ret = read_ca(dir, &ca, &why);
	if (!ret && out)
		ret = make_dir(out, &why);
	if (!ret && out)
		ret = put_ca(out, ca.cert, &why);
	out = out ? out : dir;
	if (!ret)
		ret = issue(out, request, &ca, &pair, &why);
	if (!ret)
		say_made(made, out, out, request->name, pair.cert);
	pair_free(&ca);
	pair_free(&pair);
	return ret;
}
