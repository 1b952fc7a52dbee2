#!/bin/sh
# Joins the rows of a study's shards and evaluates them: tables, figures, report.
#
#   sh examples/cluster/merge.sh ./demogen --full --data cifar-10-batches-bin --out /shared/demogen
#
# Give the options that the shards were run with, including --out. The script may run while shards
# are still training: demogen then evaluates the finished models, and the other studies tell how many
# are missing, with status 1. Only complete lines are copied, so a shard that was killed while writing
# does no harm.

usage="usage: sh merge.sh PROGRAM OPTIONS... --out DIRECTORY"
for word in "$@"; do
    case $word in -h | --help) echo "$usage"; exit 0 ;; esac
done
program=$1
[ $# -gt 0 ] && shift
previous=
out=
for word in "$@"; do
    case $word in --out=*) out=${word#--out=} ;; esac
    [ "$previous" = --out ] && out=$word
    previous=$word
done
if [ -z "$program" ] || [ -z "$out" ]; then
    echo "$usage" >&2
    exit 2
fi

# The order of the rows does not matter. The program skips repeated headers and damaged rows, and
# uses the first of two rows of the same model.
found=0
joined=$out/.models.csv.$$-0.tmp
trap 'rm -f "$joined"' EXIT
trap 'exit 1' HUP INT TERM
for part in "$out"/models.csv "$out"/models.*of*.csv; do
    [ -f "$part" ] || continue
    found=$((found + 1))
    lines=$(wc -l < "$part")
    head -n "$lines" "$part" || exit 1
done > "$joined"
if [ "$found" -eq 0 ]; then
    echo "error: no rows in $out" >&2
    exit 1
fi
mv "$joined" "$out/models.csv" || exit 1
exec "$program" "$@" --collect
