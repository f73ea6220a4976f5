#!/usr/bin/env bash
# Starts nodes in their namespaces, with logs and traces in a folder.
#
#   run.sh [-f FOLDER] [NODE…]     default: all nodes, /tmp/ringway-netem
#
# up.sh has made their certificates.
source "$(dirname "$0")/lib.sh"

folder=/tmp/ringway-netem
[ "${1:-}" = -f ] && { folder=$2; shift 2; }
must_be_up
mkdir -p "$folder"
[ $# -gt 0 ] || read -ra all <<<"$(nodes | xargs)"
for node in "${@:-${all[@]}}"; do
	nodes | grep -qx "$node" || fail "there is no node $node; nodes are: $(nodes | xargs)"
	within "$node" "$ringway" node --topology "$state/topology.toml" --name "$node" \
		--trace "$folder/trace" >>"$folder/$node.log" 2>&1 &
	disown
	echo "$node runs, see $folder/$node.log"
done
