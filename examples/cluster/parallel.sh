#!/bin/sh
# Runs a study in n shards with GNU parallel, on this machine or on others, and merges the results.
#
#   sh examples/cluster/parallel.sh 8 ./demogen --mini --out mini
#   SSHLOGINS=4/host1,4/host2 sh examples/cluster/parallel.sh 8 /shared/demogen --out /shared/mini
#
# SSHLOGINS is passed to parallel's --sshlogin: hosts on which program, data and --out have the same
# paths. A shard that fails is retried, and resumes where it stopped. The shards without this
# script:
#
#   parallel ./demogen --mini --out mini --shard {}/8 --jobs 1 --yes --quiet ::: 1 2 3 4 5 6 7 8

here=$(dirname "$0")
usage="usage: sh parallel.sh SHARDS PROGRAM OPTIONS... --out DIRECTORY"
for word in "$@"; do
    case $word in -h | --help) echo "$usage"; exit 0 ;; esac
done
if [ $# -lt 2 ]; then
    echo "$usage" >&2
    exit 2
fi
shards=$1
shift

seq "$shards" | parallel ${SSHLOGINS:+--sshlogin "$SSHLOGINS" --workdir .} --retries 3 \
    --halt never env OMP_NUM_THREADS=1 "$@" --shard "{}/$shards" --jobs 1 --yes --quiet || exit 1
exec sh "$here/merge.sh" "$@"
