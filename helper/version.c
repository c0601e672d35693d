// SPDX-License-Identifier: GPL-2.0
/* What --version says; the Makefile takes it from git. */
#include "version.h"

#ifndef REGIONFS_VERSION
#define REGIONFS_VERSION "unknown"
#endif

const char regionfs_version[] = REGIONFS_VERSION;
