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
absent RuntimeDirectory 'the run directory is not removed with the unit'
done_testing
