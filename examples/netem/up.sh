#!/usr/bin/env bash
# Makes a topology of network namespaces: a LAN for each site, a router, and links
# between routers that tc netem delays as the topology says.
#
#   up.sh [TOPOLOGY]        default ../topologies/three-sites.toml
#
# RINGWAY is the ringway binary (../../bin/ringway), STATE the folder that remembers
# what was made (/run/ringway-netem).
source "$(dirname "$0")/lib.sh"

must_be_root
topology=$(readlink -f "${1:-$topology}") || fail "there is no file ${1:-$topology}"
[ -x "$ringway" ] || fail "$ringway is not there: \`make build\` makes it, or set RINGWAY"
for tool in ip tc sysctl; do
	command -v "$tool" >/dev/null || fail "$tool is missing: install iproute2 and procps"
done
[ -e "$state" ] && fail "something is up already, or was left half made: down.sh removes it"
modprobe -q sch_netem 2>/dev/null || true
tc qdisc replace dev lo root netem delay 0ms 2>/dev/null ||
	fail "this kernel has no netem: load sch_netem, or use \`ringway lab\`, which emulates it"
tc qdisc del dev lo root

links=0
mkdir -p "$state"
"$ringway" lab plan "$topology" >"$state/plan.new" || { rm -rf "$state"; exit 1; }
# The nodes read a copy, beside which are certificates made for this rehearsal.
cp "$topology" "$state/topology.toml"
federation=$(sed -n '/^\[federation\]/,/^\[\[/s/^name *= *"\(.*\)".*/\1/p' "$topology")
"$ringway" keys init --dir "$state/certs" --federation "$federation" >/dev/null
"$ringway" keys issue --dir "$state/certs" --topology "$state/topology.toml" --all >/dev/null

# add SPACE: a namespace, written down before it is there.
add() {
	echo "rw-$1" >>"$state/spaces"
	ip netns add "rw-$1"
	within "$1" ip link set lo up
}

# plug SPACE NAME ROUTER THERE: a cable between a space and a router.
plug() { ip link add "$2" netns "rw-$1" type veth peer name "$4" netns "rw-$3"; }

site() {
	add "$1"
	within "$1" sysctl -qw net.ipv4.ip_forward=1
	within "$1" ip link add lan type bridge
	within "$1" ip link set lan up
}

# node SITE NAME ADDRESS GATEWAY: a gateway has an interface of its own to the router.
node() {
	add "$2"
	local port
	port=lan$(within "$1" ip -o link show master lan | wc -l)
	plug "$2" eth0 "$1" "$port"
	within "$1" ip link set "$port" master lan up
	within "$2" ip address add "$3" dev eth0
	within "$2" ip link set eth0 up multicast on
	[ "$4" = - ] && return
	port=gw$(within "$1" ip -o link show | grep -c ': gw' || true)
	plug "$2" wan "$1" "$port"
	within "$1" ip link set "$port" up
	within "$1" ip address add 169.254.1.1/32 dev "$port"
	within "$1" ip route add "$4" dev "$port"
	within "$2" ip address add "$4/32" dev wan
	within "$2" ip link set wan up
	within "$2" ip route add default via 169.254.1.1 dev wan onlink src "$4"
}

# wire NUMBER A B NETEM…: a link of two routers, each interface named like the other end.
wire() {
	local a=$2 b=$3 net=169.254.$((2 + $1 / 64)).$(($1 % 64 * 4))
	plug "$a" "$b" "$b" "$a"
	within "$a" ip address add "${net%.*}.$((${net##*.} + 1))/30" dev "$b"
	within "$b" ip address add "${net%.*}.$((${net##*.} + 2))/30" dev "$a"
	within "$a" ip link set "$b" up
	within "$b" ip link set "$a" up
	while read -r _ _ gateway; do
		within "$a" ip route add "$gateway" via "${net%.*}.$((${net##*.} + 2))"
	done < <(gateways "$b")
	while read -r _ _ gateway; do
		within "$b" ip route add "$gateway" via "${net%.*}.$((${net##*.} + 1))"
	done < <(gateways "$a")
	shape "$a" "$b" "${@:4}"
}
gateways() { awk -v site="$1" '$1=="node"&&$2==site&&$5!="-"{print $2, $3, $5}' "$state/plan.new"; }

while read -r kind line; do
	read -ra words <<<"$line"
	case $kind in
	site) site "${words[@]}" ;;
	node) node "${words[@]}" ;;
	link) wire "$((links++))" "${words[@]}" ;;
	esac
done < <(cat "$state/plan.new")
mv "$state/plan.new" "$state/plan"
echo "up: sites $(sites | xargs), nodes $(nodes | xargs)"
plan link | sed 's/^/link /'
