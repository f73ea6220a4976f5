#!/usr/bin/env bash
# Says what tc netem does to a link from now on, in both directions.
#
#   shape.sh A B ARGUMENTS…        as of tc-netem(8)
#   shape.sh lon nyc delay 80ms 5ms loss 0.5%
#   shape.sh lon nyc delay 80ms loss gemodel 1% 10% 70% 0.1%
source "$(dirname "$0")/lib.sh"

must_be_up
must_be_link "$@"
[ $# -gt 2 ] || { usage >&2; exit 2; }
shape "$@"
echo "$1-$2: ${*:3}"
