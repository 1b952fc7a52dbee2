#!/bin/sh
# Compares what the library computes, to the last bit, with what was recorded in tests/bits/.
#
#   sh tests/bits.sh [PROGRAM]              PROGRAM: tests/bits.c, compiled [compiled here with $CC]
#   sh tests/bits.sh --renew [PROGRAM]      records anew, and prints which lines changed
#
# There is one file per kernel tier. Compiler, C library and target also affect the last digits:
# where they differ from those named in the file, the number of differing lines is printed and the
# tier is skipped. A tier is also skipped if its only differences are lines that are not recorded
# yet, because whoever adds results may lack a processor for that tier. A commit that changes a
# recorded file must say why.
#
# The last line is "bits: N passed, N failed, N skipped".

cd "$(dirname "$0")/.." || exit 1
renew=
if [ "$1" = --renew ]; then
    renew=yes
    shift
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/prunability-bits.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

passed=0
failed=0
skipped=0

finish() {
    printf 'bits: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}

program=${1:-$work/bits}
if [ $# -eq 0 ] && ! ${CC:-cc} -O2 tests/bits.c -o "$program" -lm 2> "$work/log"; then
    echo "FAIL tests/bits.c does not compile:"
    head -n 20 "$work/log"
    failed=1
    finish
fi
case $program in
    */*) ;;
    *) program=./$program ;;
esac

# changes OLD NEW: lines that only one of the two has, prefixed with - or +
changes() {
    diff -U 0 "$1" "$2" | sed -e '/^--- /d' -e '/^+++ /d' -e '/^@@/d'
}

# show FILE: its beginning
show() {
    head -n 20 "$1" | sed 's/^/    /'
    more=$(($(wc -l < "$1") - 20))
    [ "$more" -le 0 ] || echo "    ... and $more more lines"
}

# judge TIER FILE: the program's output FILE against the recorded one
judge() {
    recorded=tests/bits/$1.txt
    grep '^#' "$2" > "$work/here"
    grep '^#' "$recorded" > "$work/there"
    grep -v '^#' "$2" > "$work/new"
    grep -v '^#' "$recorded" > "$work/old"
    changes "$work/old" "$work/new" > "$work/changes"
    if [ ! -s "$work/new" ]; then
        failed=$((failed + 1))
        echo "FAIL $1: no output"
    elif ! cmp -s "$work/here" "$work/there"; then
        skipped=$((skipped + 1))
        echo "skip $1: recorded with $(sed 's/^# //' "$work/there" | paste -s -d ';' -)"
        echo "    here $(sed 's/^# //' "$work/here" | paste -s -d ';' -)"
        echo "    $(grep -c '^+' "$work/changes") of $(wc -l < "$work/new") lines differ"
    elif [ -s "$work/changes" ] && ! grep -q '^-' "$work/changes"; then
        skipped=$((skipped + 1))
        echo "skip $1: $(grep -c '^+' "$work/changes") lines are not recorded yet, the others are" \
            "as recorded; sh tests/bits.sh --renew adds them"
    elif [ -s "$work/changes" ]; then
        failed=$((failed + 1))
        echo "FAIL $1: $(grep -c '^+' "$work/changes") of $(wc -l < "$work/new") lines differ" \
            "(- recorded, + now)"
        show "$work/changes"
    else
        passed=$((passed + 1))
    fi
}

# record TIER FILE
record() {
    recorded=tests/bits/$1.txt
    mkdir -p tests/bits
    [ -e "$recorded" ] || : > "$recorded"
    changes "$recorded" "$2" > "$work/changes"
    echo "$1: $(grep -c '^-' "$work/changes") lines before," \
        "$(grep -c '^+' "$work/changes") lines now"
    show "$work/changes"
    cp "$2" "$recorded"
    passed=$((passed + 1))
}

for tier in portable avx2 avx512; do
    "$program" --isa $tier --scratch "$work/scratch" > "$work/output" 2> "$work/log"
    status=$?
    if [ $status -eq 3 ]; then # the processor lacks it
        skipped=$((skipped + 1))
        echo "skip $tier: $(cat "$work/log")"
    elif [ $status -ne 0 ]; then
        failed=$((failed + 1))
        echo "FAIL $tier: exit status $status"
        head -n 20 "$work/log"
    elif [ -n "$renew" ]; then
        record $tier "$work/output"
    elif [ ! -e tests/bits/$tier.txt ]; then
        failed=$((failed + 1))
        echo "FAIL $tier: nothing is recorded; sh tests/bits.sh --renew"
    else
        judge $tier "$work/output"
    fi
done
finish
