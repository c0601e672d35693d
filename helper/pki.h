/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pki: a small private CA in a directory, DIR/ca.crt and DIR/ca.key, and the certificates that it has signed, NAME.crt with NAME.key. What tls.h
 * takes as cert, key and ca, for both ends. Keys are of P-256. These block.
 *
 * No file is ever there in part, and none is replaced unless that was asked for.
 */
#ifndef REGIONFS_PKI_H
#define REGIONFS_PKI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define PKI_NAME_MAX	64u	/* of a subject, by RFC 5280 */
#define PKI_HOSTS_MAX	64u
#define PKI_DAYS_MAX	36500u
#define PKI_CA_DAYS	3650u
#define PKI_DAYS	365u

struct pki_request {
	const char *name;		/* whose it is: the subject's CN; where it can be a host's name, that too */
	const char *hosts[PKI_HOSTS_MAX];	/* names and addresses that it is called at */
	unsigned int nr_hosts;
	unsigned int days;		/* that it is good for; not longer than its CA */
	bool replace;
};

struct pki_made {
	char cert[PATH_MAX], key[PATH_MAX], ca[PATH_MAX];
	char until[32];			/* 2027-11-28T13:00:00Z */
};

/* Makes the CA, and the directory where it is missing. Negative errno with a sentence in why; -EEXIST: there is one. */
int pki_init(const char *dir, const struct pki_request *request, struct pki_made *made, char *why, size_t why_len);
/* A certificate and its key by the CA in dir, as files in out; NULL: in dir. Elsewhere the CA's certificate is put beside them. */
int pki_issue(const char *dir, const char *out, const struct pki_request *request, struct pki_made *made, char *why,
	      size_t why_len);

#endif
