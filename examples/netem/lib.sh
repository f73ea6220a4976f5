# What the scripts of this folder share; they read it with `source`.
#
# Everything they make is network namespaces, named rw-SITE (the router of a site, with
# its LAN) and rw-NODE, and a folder with what has to be known of them. down.sh removes
# what the folder lists, and nothing else.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ringway=${RINGWAY:-$here/../../bin/ringway}
topology=${TOPOLOGY:-$here/../topologies/three-sites.toml}
state=${STATE:-/run/ringway-netem}

usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }
fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}
case ${1:-} in -h | --help)
	usage
	exit 0
	;;
esac

# within SITE|NODE COMMAND…: runs it there.
within() { ip netns exec "rw-$1" "${@:2}"; }

must_be_root() { [ "$(id -u)" = 0 ] || fail "namespaces need root: call it with sudo"; }

must_be_up() {
	must_be_root
	[ -s "$state/plan" ] || fail "nothing is up: call up.sh first"
}

# plan KIND: the lines of that kind, without it.
plan() { sed -n "s/^$1  *//p" "$state/plan"; }

sites() { plan site | awk '{print $1}'; }
nodes() { plan node | awk '{print $2}'; }

# link A B: whether there is one, in whichever direction it is written.
link() { plan link | awk -v a="$1" -v b="$2" '$1==a&&$2==b||$1==b&&$2==a{found=1}END{exit !found}'; }

must_be_link() {
	[ $# -ge 2 ] || { usage >&2; exit 2; }
	link "$1" "$2" || fail "there is no link between $1 and $2; links are: $(plan link | awk '{printf "%s-%s ", $1, $2}')"
}

# shape A B ARGUMENTS…: tells tc netem at both ends of a link.
shape() {
	local a=$1 b=$2
	shift 2
	within "$a" tc qdisc replace dev "$b" root netem "$@"
	within "$b" tc qdisc replace dev "$a" root netem "$@"
}

# close A B: each router drops what comes from the other, at once: what is under way on
# the link does not arrive either. A rule of routing does it, since not every kernel has
# nftables for IP (the one of scripts/uml-test has not). open undoes it for all links of
# a router.
close() {
	within "$1" ip rule add iif "$2" priority 77 blackhole
	within "$2" ip rule add iif "$1" priority 77 blackhole
}
open() { while within "$1" ip rule del priority 77 2>/dev/null; do :; done; }
