// SPDX-License-Identifier: GPL-2.0
/* tls-why: see tls-why.h. */
#include <stdbool.h>
#include <stdio.h>

#include <openssl/err.h>

#include "tls-why.h"

static const char *reason_of(unsigned long code)
{
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	return reason ? reason : "refused by TLS";
}

void tls_why_error(char *why, size_t len, const char *what)
{
	snprintf(why, len, "%s: %s", what, reason_of(ERR_peek_last_error()));
	ERR_clear_error();
}

static const char *verify_text(long result)
{
	switch (result) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return "it was not signed by the CA that this side trusts";
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return "it is not for the host that was called";
	}
	return X509_verify_cert_error_string(result);
}

/* What an alert of the other side's says of our certificate; NULL: nothing. */
static const char *alert_text(unsigned long code)
{
	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return NULL;
	switch (ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET) {
	case SSL_AD_CERTIFICATE_EXPIRED:
		return "it has expired, or is not valid yet, by the other side's clock";
	case SSL_AD_UNKNOWN_CA:
		return "the other side does not know the CA that signed it";
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_DECRYPT_ERROR:
		return "the other side says no more";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "there is none, and the other side wants one";
	}
	return NULL;
}

bool tls_why_is_refusal(void)
{
	return alert_text(ERR_peek_last_error());
}

void tls_why_refused(const SSL *ssl, bool psk, char *why, size_t len)
{
	long verified = SSL_get_verify_result(ssl);
	unsigned long code = ERR_peek_last_error();
	const char *alert = alert_text(code);

	if (psk)
		tls_why_error(why, len, "TLS handshake refused; do both sides hold the same key and identity");
	else if (verified != X509_V_OK)
		snprintf(why, len, "TLS: the other side's certificate is refused: %s", verify_text(verified));
	else if (alert)
		snprintf(why, len, "TLS: this side's certificate is refused: %s", alert);
	else
		tls_why_error(why, len, "TLS handshake refused");
	ERR_clear_error();
}
