#!/usr/bin/env bash
# Takes a link down and up, again and again.
#
#   flap.sh A B [TIMES] [DOWN] [UP]     default 5 times, 1 s down, 2 s up
source "$(dirname "$0")/lib.sh"

must_be_up
must_be_link "$@"
times=${3:-5}
[[ $times =~ ^[0-9]{1,3}$ ]] || fail "$times is no number of times"
join() { open "$1"; open "$2"; }
trap 'join "$1" "$2"' EXIT
for n in $(seq "$times"); do
	close "$1" "$2"
	sleep "${4:-1}"
	join "$1" "$2"
	sleep "${5:-2}"
	echo "$1-$2: $n of $times"
done
