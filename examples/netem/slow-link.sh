#!/usr/bin/env bash
# Makes a link thin: so many bits a second, with a queue in front, and its delay.
#
#   slow-link.sh A B RATE [DELAY]      slow-link.sh lon nyc 2mbit 35ms
source "$(dirname "$0")/lib.sh"

must_be_up
must_be_link "$@"
[ $# -gt 2 ] || { usage >&2; exit 2; }
shape "$1" "$2" rate "$3" delay "${4:-1ms}" limit 200
echo "$1-$2: $3, ${4:-1ms}"
