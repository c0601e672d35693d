# SPDX-License-Identifier: GPL-2.0
# bash completion for regionctl: commands, options, regions, instances
# shellcheck shell=bash

# The first word of the line that is no option, its second if that is "instance", and what was said of the instance
_regionctl_words() {
	local i
	command='' instance=()
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-i | --instance)
			i=$((i + 1))
			instance=(--instance "${words[i]}")
			;;
		--instance=*) instance=("${words[i]}") ;;
		-*) ;;
		*)
			if [[ -z $command ]]; then
				command=${words[i]}
				[[ $command == instance || $command == pki ]] || break
			else
				command+=" ${words[i]}"
				break
			fi
			;;
		esac
	done
}

# The options that its own help lists, so that this file need not know them
_regionctl_options() {
	# shellcheck disable=SC2086 # "instance ls" is two words
	regionctl $command --help 2>/dev/null | grep -oE '(^| )--?[a-z][a-z-]*' | tr -d ' '
}

_regionctl_instances() {
	regionctl instance ls --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",\{0,1\}$/\1/p'
}

_regionctl_value() {
	case $prev in
	-i | --instance) mapfile -t COMPREPLY < <(compgen -W "$(_regionctl_instances)" -- "$cur") ;;
	--tls-* | --helper | --state | --compare) _filedir ;;
	--out) _filedir -d ;;
	--allow)
		if [[ $cur == *=* ]]; then
			mapfile -t COMPREPLY < <(compgen -P "${cur%"${cur##*[=,]}"}" -W 'read write leech follow all' -- "${cur##*[=,]}")
		else
			mapfile -t COMPREPLY < <(compgen -W 'psk: *=' -- "$cur")
		fi
		compopt -o nospace
		;;
	--uid) _allowed_users 2>/dev/null || mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
	--owner)
		if [[ $cur == *:* ]]; then
			mapfile -t COMPREPLY < <(compgen -P "${cur%%:*}:" -g -- "${cur#*:}")
		else
			mapfile -t COMPREPLY < <(compgen -u -- "$cur")
		fi
		;;
	--gid) mapfile -t COMPREPLY < <(compgen -g -- "$cur") ;;
	--source | --local-source)
		mapfile -t COMPREPLY < <(compgen -W 'memory: file: dir: peer://' -- "$cur")
		compopt -o nospace
		;;
	--also)
		mapfile -t COMPREPLY < <(compgen -W 'file: dir: peer:// region:' -- "$cur")
		compopt -o nospace
		;;
	--reuse-from) mapfile -t COMPREPLY < <(compgen -W "$(regionctl "${instance[@]}" ls --names 2>/dev/null)" -- "$cur") ;;
	--compress) mapfile -t COMPREPLY < <(compgen -W 'zstd' -- "$cur") ;;
	--local) mapfile -t COMPREPLY < <(compgen -W 'cache memory file:' -- "$cur") ;;
	--pull-order) mapfile -t COMPREPLY < <(compgen -W 'sequential edges list: profile: none' -- "$cur") ;;
	--durability) mapfile -t COMPREPLY < <(compgen -W 'remote local' -- "$cur") ;;
	--push-order) mapfile -t COMPREPLY < <(compgen -W 'barrier any' -- "$cur") ;;
	--suspend-unit | --resume-unit)
		mapfile -t COMPREPLY < <(compgen -W "$(systemctl list-units --plain --no-legend --full 2>/dev/null |
			cut -d' ' -f1)" -- "$cur")
		;;
	--suspend-cgroup)
		mapfile -t COMPREPLY < <(cd /sys/fs/cgroup 2>/dev/null && compgen -d -S / -- "$cur")
		compopt -o nospace
		;;
	--measures) mapfile -t COMPREPLY < <(compgen -W 'lone random seq read warm direct' -- "$cur") ;;
	--finalize) mapfile -t COMPREPLY < <(compgen -W 'auto manual' -- "$cur") ;;
	--handover) mapfile -t COMPREPLY < <(compgen -W 'complete early' -- "$cur") ;;
	--on-stall) mapfile -t COMPREPLY < <(compgen -W 'postcopy throttle wait' -- "$cur") ;;
	--local-size | --pull-rate | --rate | --push-interval | --max-unpushed | --on-* | --hook-timeout) ;;
	--group | --size | --chunk | --mode | --timeout | --offset | --length | --listen | --suspend | --resume | --max-downtime | --max-age | --follow-copies) ;;
	--host | --days | --name | --takeback | --dirty-ratio | --queues | --depth | --rounds | --pages | --seed) ;;
	*) return 1 ;;
	esac
}

_regionctl_operand() {
	case $command in
	'' | help)
		mapfile -t COMPREPLY < <(compgen -W "$(regionctl --help |
			sed -n '/^Commands/,/^$/s/^  \([a-z]*\).*/\1/p' | sort -u)" -- "$cur")
		;;
	instance) mapfile -t COMPREPLY < <(compgen -W 'ls stat start stop set detach' -- "$cur") ;;
	pki) mapfile -t COMPREPLY < <(compgen -W 'init issue' -- "$cur") ;;
	pki*) _filedir -d ;;
	'instance st'*) mapfile -t COMPREPLY < <(compgen -W "$(_regionctl_instances)" -- "$cur") ;;
	instance* | add | drain | events) ;;
	bench)
		mapfile -t COMPREPLY < <(compgen -W "$(regionctl "${instance[@]}" ls --names 2>/dev/null)" -- "$cur")
		((${#COMPREPLY[@]})) || _filedir
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(regionctl "${instance[@]}" ls --names 2>/dev/null)" -- "$cur")
		;;
	esac
}

_regionctl() {
	local cur prev words cword command instance
	_init_completion -n : || return
	_regionctl_words
	_regionctl_value && return
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_regionctl_options)" -- "$cur")
	else
		_regionctl_operand
	fi
}

complete -F _regionctl regionctl
