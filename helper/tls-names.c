// SPDX-License-Identifier: GPL-2.0
/* tls-names: see tls-names.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "tls-names.h"

/* NULL: it has none. As UTF-8, to be freed; it may have a 0 in it, which no name of ours has. */
static unsigned char *common_name(X509 *cert, int *len)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;

	if (at < 0)
		return NULL;
	*len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	return *len >= 0 ? text : NULL;
}

/* It ends up in a log, and on terminals. */
void tls_names_show(X509 *cert, char *name, size_t len)
{
	int n;
	unsigned char *text = common_name(cert, &n);

	snprintf(name, len, "%.*s", text ? n : 11, text ? (const char *)text : "certificate");
	OPENSSL_free(text);
	for (; *name; name++)
		if (iscntrl((unsigned char)*name))
			*name = '?';
}

static bool is_common_name(X509 *cert, const char *name)
{
	int len;
	unsigned char *text = common_name(cert, &len);
	bool same = text && (size_t)len == strlen(name) && !memcmp(text, name, (size_t)len);

	OPENSSL_free(text);
	return same;
}

/* A name with a dot in front would be one of all below it, to X509_check_host(). */
bool tls_names_has(X509 *cert, const char *name)
{
	static const unsigned int flags = X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

	if (!*name || *name == '.')
		return false;
	return is_common_name(cert, name) || X509_check_host(cert, name, 0, flags, NULL) == 1 ||
	       X509_check_ip_asc(cert, name, 0) == 1;
}
