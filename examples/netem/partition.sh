#!/usr/bin/env bash
# Cuts the federation into parts: nothing passes between sites of different ones.
#
#   partition.sh PART/PART…        partition.sh lon,fra/nyc
#
# The routers drop the packets, which acts at once. Sites that are not named are cut off
# from nobody. heal.sh undoes it.
source "$(dirname "$0")/lib.sh"

must_be_up
[ $# = 1 ] && [[ $1 == */* ]] || { usage >&2; exit 2; }
IFS=/ read -ra parts <<<"$1"
for part in "${parts[@]}"; do
	for site in ${part//,/ }; do
		sites | grep -qx "$site" || fail "there is no site $site; sites are: $(sites | xargs)"
	done
done
cut=0
for i in "${!parts[@]}"; do
	for j in "${!parts[@]}"; do
		[ "$i" -lt "$j" ] || continue
		for a in ${parts[i]//,/ }; do
			for b in ${parts[j]//,/ }; do
				link "$a" "$b" || continue
				close "$a" "$b"
				cut=$((cut + 1))
			done
		done
	done
done
echo "partition: ${parts[*]}; $cut links are cut"
