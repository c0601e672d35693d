#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A memory region is read by the kernel itself, also after its helper was another, unless --local-read=no says otherwise.
. "$(dirname "$0")/common.sh"

# cold WHAT INSTANCE FILE: it reads back with nothing cached
cold() {
	drop_caches
	ok "$1" within 60 cmp "$work/input" "$3"
}

count() { stat_of "$1" f ".stats.$2"; }

need jq
random_file "$work/input" $((2 * 1024 * 1024 + 77))
start_instance near source=memory:
ok 'a file is written' cp "$work/input" "$mnt/f"
cold 'and reads back' near "$mnt/f"
is "$(count near reads)" 0 'regiond was not asked'
at_least "$(count near local_bytes)" $((2 * 1024 * 1024)) 'the kernel has read the bytes'
ok 'the helper is killed' kill_helper near
ok 'and started again' start_helper near
cold 'it reads back' near "$mnt/f"
ok 'something else is written' cp --no-preserve=all "$(command -v regiond)" "$mnt/f"
cp "$(command -v regiond)" "$work/input"
cold 'and reads back, without what was there before' near "$mnt/f"
end_instance near
random_file "$work/input" 1000000
start_instance asked source=memory:,local-read=no
ok 'another instance, local-read=no: a file is written' cp "$work/input" "$mnt/f"
cold 'and reads back' asked "$mnt/f"
is "$(count asked local_bytes)" 0 'the kernel has read nothing itself'
at_least "$(count asked reads)" 1 'but asked'
done_testing
