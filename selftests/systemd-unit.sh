#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The systemd unit takes nothing away that regiond needs: by systemd.exec(5), what is looked for here gives a unit a mount
# namespace, with which the bytes of memory regions would go at each restart, or hides the device.
. "$(dirname "$0")/common.sh"
unit=$TOP/helper/systemd/regiond@.service

namespaces='PrivateMounts|MountFlags|RootDirectory|RootImage|PrivateTmp|PrivateUsers|PrivateIPC|ProtectSystem|ProtectHome'
namespaces+='|ProtectKernel[A-Za-z]*|ProtectControlGroups|ProtectProc|ProtectHostname|ProcSubset|DynamicUser|TemporaryFileSystem'
namespaces+='|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|Bind|BindReadOnly)Paths|RestrictNamespaces'
devices='PrivateDevices|DeviceAllow|DevicePolicy|ProtectClock'

# absent NAMES WHAT
absent() { is "$(grep -cE "^($1)=" "$unit")" 0 "$2" || note "$(grep -E "^($1)=" "$unit")"; }

absent "$namespaces" 'no mount namespace of its own'
absent "$devices" 'no list of devices'
absent MemoryDenyWriteExecute 'hooks may be programs that make code'
# what regiond asks for at its start, before it gives up all of it, and what CRIU and mounts of hooks take
for cap in CAP_SYS_ADMIN CAP_SYS_RESOURCE CAP_IPC_LOCK CAP_SETPCAP CAP_CHOWN CAP_DAC_OVERRIDE CAP_SYS_PTRACE CAP_NET_ADMIN CAP_KILL; do
	is "$(grep -E '^CapabilityBoundingSet=' "$unit" | grep -cw "$cap")" 0 "$cap is not taken away"
done
is "$(grep -cE '^(SystemCallFilter|CapabilityBoundingSet)=[^~]' "$unit")" 0 'calls and capabilities are named that go, not those that stay'
if command -v systemd-analyze > /dev/null; then
	cp "$unit" "$work/regiond@.service"
	systemd-analyze verify "$work/regiond@test.service" > "$work/verify" 2>&1
	is "$(grep -cE 'regiond@.*(Unknown|Failed to parse|Invalid)' "$work/verify")" 0 'systemd knows all that stands there' || note "$(cat "$work/verify")"
fi
absent RuntimeDirectory 'the run directory is not removed with the unit'
done_testing
