/* SPDX-License-Identifier: GPL-2.0 */
/* pki-cert: certificates, as OpenSSL makes them. */
#ifndef REGIONFS_PKI_CERT_H
#define REGIONFS_PKI_CERT_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pki.h"

/* One that is over was begun so long ago that its days have passed; for tests. */
struct pki_signer {
	X509 *cert;		/* NULL: it signs itself, as a CA */
	EVP_PKEY *key;
	X509 *like;		/* or NULL: whose hosts are meant where the request names none */
	int begun_days_ago;
};

/* NULL: OpenSSL's error queue says why. */
EVP_PKEY *pki_cert_key(void);
X509 *pki_cert_make(EVP_PKEY *key, const struct pki_request *request, const struct pki_signer *signer);
/* Can it be the name of a host, for a subjectAltName? */
bool pki_cert_is_host(const char *text);

#endif
