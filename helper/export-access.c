// SPDX-License-Identifier: GPL-2.0
/* export: who may do what with it, by its rules (access.h). */
#include <errno.h>
#include <stdio.h>

#include "export.h"
#include "log.h"

unsigned int export_access(const struct export *export, const struct service *service)
{
	return access_of(&export->access, service->conn);
}

static unsigned int actions_of(uint32_t flags)
{
	unsigned int actions = (flags & WIRE_OPEN_WRITE ? ACCESS_WRITE : 0) | (flags & WIRE_OPEN_SEED ? ACCESS_LEECH : 0) |
			       (flags & WIRE_OPEN_FOLLOW ? ACCESS_FOLLOW : 0);

	return actions ? actions : ACCESS_READ;
}

/* Who may read hears that it cannot be written, as of any export that is read-only, and goes on reading. */
int export_allows(const struct export *export, const struct service *service, uint32_t flags, char *why, size_t why_len)
{
	unsigned int may = export_access(export, service), missing = actions_of(flags) & ~may;
	const char *name = conn_peer(service->conn);
	char wanted[ACCESS_TEXT_MAX], has[ACCESS_TEXT_MAX];

	if (!missing)
		return 0;
	snprintf(why, why_len, "%s may not %s %s here, it is allowed to: %s", *name ? name : "who is not known by a name",
		 access_text(missing, ", ", wanted), export->name, access_text(may, ", ", has));
	if (missing == ACCESS_WRITE && may & ACCESS_READ) {
		log_info("%s (of %s)", why, service->hello.name);
		return -EROFS;
	}
	log_warning("refused: %s (of %s)", why, service->hello.name);
	return -EACCES;
}
