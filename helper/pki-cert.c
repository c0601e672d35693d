// SPDX-License-Identifier: GPL-2.0
/* pki-cert: see pki-cert.h. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include "pki-cert.h"

/* Hosts' clocks differ: what was just issued is good on one that is late. */
#define EARLY_S		3600
#define SERIAL_BITS	159	/* at most 20 octets, and positive: RFC 5280 */

EVP_PKEY *pki_cert_key(void)
{
	return EVP_EC_gen("P-256");
}

/* ---- names ---- */

static bool is_address(const char *text)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1;
}

bool pki_cert_is_host(const char *text)
{
	size_t label = 0;

	if (is_address(text))
		return true;
	if (strlen(text) > 253)
		return false;
	for (; *text; text++) {
		bool dot = *text == '.';

		if ((!dot && !isalnum((unsigned char)*text) && *text != '-') || (dot && !label) || label > 62)
			return false;
		label = dot ? 0 : label + 1;
	}
	return label;
}

static GENERAL_NAME *name_of(const char *host)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *text;

	if (!name)
		return NULL;
	if (is_address(host)) {
		text = a2i_IPADDRESS(host);
	} else {
		text = ASN1_IA5STRING_new();
		if (text && !ASN1_STRING_set(text, host, -1)) {
			ASN1_STRING_free(text);
			text = NULL;
		}
	}
	if (!text) {
		GENERAL_NAME_free(name);
		return NULL;
	}
	GENERAL_NAME_set0_value(name, is_address(host) ? GEN_IPADD : GEN_DNS, text);
	return name;
}

static bool push_name(GENERAL_NAMES *names, const char *host)
{
	GENERAL_NAME *name = name_of(host);

	if (name && sk_GENERAL_NAME_push(names, name))
		return true;
	GENERAL_NAME_free(name);
	return false;
}

/* Its own name is one of them where it can be: who is dialled by it needs no option for that. */
static GENERAL_NAMES *names_of(const struct pki_request *request)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool good = names && (!pki_cert_is_host(request->name) || push_name(names, request->name));

	for (unsigned int i = 0; good && i < request->nr_hosts; i++)
		good = !strcmp(request->hosts[i], request->name) || push_name(names, request->hosts[i]);
	if (good)
		return names;
	GENERAL_NAMES_free(names);
	return NULL;
}

static bool add_hosts(X509 *cert, const struct pki_request *request, X509 *like)
{
	GENERAL_NAMES *names = NULL;
	bool good;

	if (like && !request->nr_hosts)
		names = X509_get_ext_d2i(like, NID_subject_alt_name, NULL, NULL);
	if (!names)
		names = names_of(request);
	good = names;
	if (good && sk_GENERAL_NAME_num(names))
		good = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(names);
	return good;
}

/* ---- what it may be used for ---- */

static bool add_text(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;
	bool good;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = extension && X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	return good;
}

static bool add_uses(X509 *cert, const struct pki_request *request, const struct pki_signer *signer)
{
	X509 *issuer = signer->cert;

	if (!issuer)
		return add_text(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		       add_text(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		       add_text(cert, cert, NID_subject_key_identifier, "hash");
	return add_text(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_text(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
	       add_text(cert, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_text(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_text(cert, issuer, NID_authority_key_identifier, "keyid:always") && add_hosts(cert, request, signer->like);
}

/* ---- all of it ---- */

static bool set_serial(X509 *cert)
{
	BIGNUM *number = BN_new();
	bool good = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

	BN_free(number);
	return good;
}

/* No longer than who signs it. */
static bool set_times(X509 *cert, const struct pki_request *request, const struct pki_signer *signer)
{
	int from = -signer->begun_days_ago;

	if (!X509_time_adj_ex(X509_getm_notBefore(cert), from, -EARLY_S, NULL) ||
	    !X509_time_adj_ex(X509_getm_notAfter(cert), from + (int)request->days, 0, NULL))
		return false;
	if (!signer->cert || ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(signer->cert)) <= 0)
		return true;
	return X509_set1_notAfter(cert, X509_get0_notAfter(signer->cert)) == 1;
}

static bool set_names(X509 *cert, const struct pki_request *request, const struct pki_signer *signer)
{
	X509_NAME *subject = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)request->name, -1, -1, 0) &&
	       X509_set_issuer_name(cert, signer->cert ? X509_get_subject_name(signer->cert) : subject);
}

X509 *pki_cert_make(EVP_PKEY *key, const struct pki_request *request, const struct pki_signer *signer)
{
	X509 *cert = X509_new();

	if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) && set_names(cert, request, signer) &&
	    set_times(cert, request, signer) && X509_set_pubkey(cert, key) && add_uses(cert, request, signer) &&
	    X509_sign(cert, signer->key, EVP_sha256()))
		return cert;
	X509_free(cert);
	return NULL;
}
