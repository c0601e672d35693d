/* SPDX-License-Identifier: GPL-2.0 */
/* What --version says; the Makefile takes it from git. */
#ifndef REGIONFS_VERSION_H
#define REGIONFS_VERSION_H

extern const char regionfs_version[];

#endif
