#!/bin/sh
# The README's first program is the header's [QUICK] program, compiles as the README says, and
# prints what both say.
#
#   CC=gcc sh tests/readme.sh

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1

awk '/^```c$/ { on = 1; next } /^```$/ { if (on) exit } on' README.md > "$work/example.c"
awk '/^       #include <stdio.h>$/ { on = 1 } /^   It prints:$/ { exit } on' prunability.h |
    sed 's/^       //' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' > "$work/quick.c"
check 'README and [QUICK] show one program' cmp "$work/example.c" "$work/quick.c"

cp prunability.h "$work/"
ln -s "$PWD/examples" "$work/examples"
check 'the program compiles' sh -c "cd '$work' && $cc -O2 example.c -o example -lm"
check 'the program runs' sh -c "cd '$work' && ./example > output"
grep '^training loss' README.md > "$work/expected"
# Training amplifies the last bit of another libm or instruction set, so the digits may differ
# there. The result only has to be near, and any difference is printed.
check 'it prints what the README says, or nearly' awk '
    { gsub(/[;%]/, ""); loss[NR] = $3; kept[NR] = $4 }
    END {
        near = NR == 2 && loss[2] > loss[1] - 0.05 && loss[2] < loss[1] + 0.05 &&
               kept[2] > kept[1] - 25 && kept[2] < kept[1] + 25
        if (!near) print "expected loss " loss[1] ", kept " kept[1] "; got " loss[2] ", " kept[2]
        exit !near
    }' "$work/expected" "$work/output"
cmp -s "$work/expected" "$work/output" ||
    printf 'note: the README says "%s", this machine "%s"\n' "$(cat "$work/expected")" \
        "$(cat "$work/output")"
check '[QUICK] shows the same result' grep -qF "$(cat "$work/expected")" prunability.h

finish
