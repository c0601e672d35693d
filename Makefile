# SPDX-License-Identifier: GPL-2.0
#
# regionfs: a kernel module, its helper, and what tests them.
#
#   make                        the module for the newest installed kernel headers, and the programs
#   make KREL=RELEASE           the module for another kernel, by release: build/RELEASE/regionfs.ko
#   make KDIR=TREE              ... by its build tree
#   make module | programs      one half
#   make modules-all            the module for 6.1, 6.12 and the debugging kernel
#   make install [DESTDIR=]     module, programs, man pages, units
#   make check                  unit tests, then the selftests in VMs on 6.1 and 6.12    TESTS="NAME..."  KERNELS="6.1"
#   make check-debug            the selftests on the debugging kernel
#   make check-unit | check-6.1 | check-asan    parts of it; the unit tests with ASan and UBSan
#   make check-model            what check-unit ends with: the hand-over, model-checked     RUNS="NAME..."
#   make fuzz [TESTS="NAME..."] FUZZ_SECONDS=60    the helper's parsers, formats and protocol, with clang's libFuzzer (scripts/fuzz.sh)
#   make check-power-cut        that what fsync has acknowledged outlives a power cut      COUNT= SEED= KERNEL=6.1
#   make soak-NAME COUNT= SEED= one long measure; the result goes to docs/soak.tsv
#   make soak-fuzz-kernel COUNT=seconds SEED=    attackers of netlink, device and files, at length; KERNEL=debug is worth it
#   make soak-managed | soak-managed-power | soak-host-lost COUNT=    kills, cuts and lost hosts of managed regions
#   make demo | bench           see README.md and bench/
#   make bench-managed | bench-profile | bench-migrate | bench-behind    over a link with a delay
#   make bench-scale            a huge region, many, many threads, many pulls at once
#   make lint                   W=1, sparse, clang, checkpatch, shellcheck
#   make helper-asan            the programs with ASan and UBSan: build/asan/bin
#   make clean

TOP	:= $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
BUILD	:= $(TOP)/build
VM	:= $(TOP)/scripts/vm.sh
KERNELS	?= 6.1 6.12

PREFIX	?= /usr
SBINDIR	?= $(PREFIX)/sbin
MANDIR	?= $(PREFIX)/share/man
UNITDIR	?= /lib/systemd/system
COMPDIR	?= $(PREFIX)/share/bash-completion/completions
INSTALL	?= install

# Targets that build a module need to know for which kernel; the others do without
ifndef KREL
ifdef KDIR
KREL	= $(shell $(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease)
else
KREL	= $(shell ls -d /lib/modules/*/build 2>/dev/null | sort -V | tail -1 | cut -d/ -f4)
endif
endif
KDIR	?= /lib/modules/$(KREL)/build
KOUT	= $(BUILD)/$(KREL)

all: module programs

# ------------------------------------------------------------------------------------------------ module

# kbuild writes beside the sources, so it gets a directory of links to them, one for each kernel
module:
	@test -n '$(KREL)' || { echo 'no kernel headers are installed: run scripts/deps.sh' >&2; false; }
	@test -d '$(KDIR)' || { echo 'no build tree $(KDIR): is linux-headers-$(KREL) installed?' >&2; false; }
	@mkdir -p $(KOUT)/kmod
	@ln -sfn $(TOP)/uapi $(KOUT)/uapi
	@ln -sf $(TOP)/kmod/* $(KOUT)/kmod/
	@find $(KOUT)/kmod -xtype l -delete
	$(MAKE) -C $(KDIR) M=$(KOUT)/kmod CONFIG_DEBUG_INFO_BTF_MODULES= $(KFLAGS) modules
	@cmp -s $(KOUT)/kmod/regionfs.ko $(KOUT)/regionfs.ko || cp $(KOUT)/kmod/regionfs.ko $(KOUT)/regionfs.ko

modules-all: module-6.1 module-6.12 module-debug

module-debug:
	$(TOP)/scripts/kernel.sh build
	$(MAKE) module KDIR=$$($(TOP)/scripts/kernel.sh tree) KREL=$$($(TOP)/scripts/kernel.sh release)

module-%:
	$(MAKE) module KREL=$$($(VM) release $*)

# ------------------------------------------------------------------------------------------------ programs

programs:
	$(MAKE) -C $(TOP)/helper BUILD=$(BUILD) all

helper-asan:
	$(MAKE) -C $(TOP)/helper BUILD=$(BUILD)/asan SANITIZE=address,undefined all

selftests:
	$(MAKE) -C $(TOP)/selftests BUILD=$(BUILD)

# ------------------------------------------------------------------------------------------------ install, clean

install: all
	$(INSTALL) -D -m 644 $(KOUT)/regionfs.ko $(DESTDIR)/lib/modules/$(KREL)/updates/regionfs.ko
	$(INSTALL) -D -m 755 -t $(DESTDIR)$(SBINDIR) $(BUILD)/bin/regiond $(BUILD)/bin/regionctl $(BUILD)/bin/mount.regionfs
	ln -sf mount.regionfs $(DESTDIR)$(SBINDIR)/umount.regionfs
	$(INSTALL) -d $(DESTDIR)/etc/regionfs $(DESTDIR)/var/lib/regionfs
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(PREFIX)/include/linux $(TOP)/uapi/linux/regionfs.h
	for f in $(wildcard $(TOP)/helper/man/*.[1-9]); do \
		$(INSTALL) -D -m 644 -t $(DESTDIR)$(MANDIR)/man$${f##*.} $$f || exit; \
	done
	for f in $(wildcard $(TOP)/helper/systemd/*.service $(TOP)/helper/systemd/*.socket); do \
		$(INSTALL) -D -m 644 -t $(DESTDIR)$(UNITDIR) $$f || exit; \
	done
	for f in $(wildcard $(TOP)/helper/completion/*); do \
		$(INSTALL) -D -m 644 $$f $(DESTDIR)$(COMPDIR)/$$(basename $${f%.bash}) || exit; \
	done
	$(if $(DESTDIR),,depmod $(KREL))

clean:
	rm -rf $(filter-out $(BUILD)/disks,$(wildcard $(BUILD)/*))

# ------------------------------------------------------------------------------------------------ tests

# check, demo and bench do their own set-up, on a machine that has nothing but make
deps:
	$(TOP)/scripts/deps.sh

check: deps
	$(MAKE) programs selftests $(KERNELS:%=module-%)
	$(TOP)/scripts/check.sh --unit $(KERNELS)

check-unit: programs
	$(TOP)/scripts/check.sh --unit

check-model:
	BUILD=$(BUILD) $(TOP)/selftests/model/run.sh $(RUNS)

check-asan: helper-asan
	prove --exec '' $(BUILD)/asan/tests/test-*

FUZZ_SECONDS ?= 60

fuzz:
	BUILD=$(BUILD) $(TOP)/scripts/fuzz.sh --seconds $(FUZZ_SECONDS) $(TESTS)

check-power-cut: programs module-$(or $(KERNEL),6.1)
	$(TOP)/scripts/power-cut.sh

# check-debug, check-6.1, check-6.12: one kernel, no unit tests
check-%: programs selftests module-%
	$(TOP)/scripts/check.sh $*

soak-managed: soak-managed-cycles
soak-host-lost: soak-managed-host-lost

soak-%: programs selftests module-6.1
	$(TOP)/scripts/soak.sh $*

demo: deps
	$(MAKE) programs module-6.1
	$(TOP)/scripts/demo/run.sh

bench: deps
	$(MAKE) programs module-6.1 module-6.12
	$(MAKE) -C $(TOP)/bench bench

bench-managed bench-profile bench-migrate bench-behind bench-scale: deps
	$(MAKE) programs module-6.1
	$(MAKE) -C $(TOP)/bench $@

lint:
	$(TOP)/scripts/check-style.sh --all

.PHONY: all module modules-all programs helper-asan selftests install clean
.PHONY: deps check check-unit check-model check-asan check-power-cut fuzz demo bench bench-managed bench-profile bench-migrate bench-behind bench-scale lint
.PHONY: soak-managed soak-host-lost
