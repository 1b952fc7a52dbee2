#!/bin/sh
# The README's first program is the header's [QUICK] program, compiles as the README says, and prints
# what both say (exactly with the avx2 kernels; elsewhere the digits may differ).
#
#   CC=gcc sh tests/readme.sh

cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check NAME COMMAND...
check() {
    name=$1
    shift
    if "$@" > "$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n' "$name"
        cat "$work/log"
    fi
}

awk '/^```c$/ { on = 1; next } /^```$/ { if (on) exit } on' README.md > "$work/example.c"
awk '/^       #include <stdio.h>$/ { on = 1 } /^   It prints:$/ { exit } on' prunability.h |
    sed 's/^       //' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' > "$work/quick.c"
check 'README and [QUICK] show one program' cmp "$work/example.c" "$work/quick.c"

cp prunability.h "$work/"
ln -s "$PWD/examples" "$work/examples"
check 'the program compiles' sh -c "cd '$work' && ${CC:-cc} -O2 example.c -o example -lm"
check 'the program runs' sh -c "cd '$work' && ./example > output"
grep '^training loss' README.md > "$work/expected"
if grep -qw avx2 /proc/cpuinfo 2> /dev/null; then
    check 'it prints what the README says' diff "$work/expected" "$work/output"
else
    check 'it prints a result' grep -q '^training loss 0\.[0-9]*; [0-9]* % of' "$work/output"
fi
check '[QUICK] shows the same result' grep -qF "$(cat "$work/expected")" prunability.h

printf 'readme: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
