#!/usr/bin/env bash
# Ends the nodes that run.sh started and removes what up.sh made, also if that was
# half of it. Calling it again does no harm.
#
#   down.sh
source "$(dirname "$0")/lib.sh"

must_be_root
[ -e "$state" ] || { echo "down: nothing is up"; exit 0; }

# What runs in these namespaces is theirs.
stop() {
	local space
	while read -r space; do
		ip netns pids "$space" 2>/dev/null | xargs -r kill "$1" 2>/dev/null || true
	done <"$state/spaces"
}
running() { while read -r space; do ip netns pids "$space" 2>/dev/null || true; done <"$state/spaces"; }

if [ -e "$state/spaces" ]; then
	stop -TERM
	for _ in $(seq 100); do
		[ -z "$(running)" ] && break
		sleep 0.1
	done
	stop -KILL
	while read -r space; do
		ip netns delete "$space" 2>/dev/null || true # its cables go with it
	done <"$state/spaces"
fi
rm -rf "$state"
echo "down: nothing is left"
