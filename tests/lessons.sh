#!/bin/sh
# The lessons, examples/01_train.c and the following: each is short, includes only the header and
# compiles without warnings. The compile line in its first comment works, and the program prints
# what the comment says. A lesson fails if it cannot find the data or cannot write its output.
#
#   [CC=cc] sh tests/lessons.sh
#
# The last line is "lessons: N passed, N failed".

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
root=$(cd "$here/.." && pwd)

# fails TEXT COMMAND...: exit status 1, with that text
fails() {
    text=$1
    shift
    "$@" > "$work/out" 2>&1
    [ $? -eq 1 ] && grep -q -e "$text" "$work/out" || { cat "$work/out"; return 1; }
}

# shape FILE: its lines with every number as N, because training amplifies rounding differences
shape() {
    sed -e 's/[-+]\{0,1\}[0-9][0-9.]*\(e[-+][0-9]*\)\{0,1\}/N/g' -e 's/  */ /g' "$1"
}

# with make's library, the compile lines omit the implementation; .ci/run tries them unchanged
linked=
objects=
if [ -n "$TESTS_LIBRARY" ]; then
    linked="$TESTS_FLAGS -include $root/tests/linked.h"
    objects="$TESTS_LIBRARY -lm"
fi
mkdir "$work/away"
ln -s "$root/examples" "$work/examples"
ln -s "$root/prunability.h" "$work/prunability.h"
cd "$work" || exit 1
for source in examples/[0-9]*.c; do
    lesson=$(basename "$source" .c)
    check "$lesson: at most 100 lines" test "$(wc -l < "$source")" -le 100
    check "$lesson: includes only the header" test "$(grep -c '^#include "' "$source")" -eq 1
    line=$(sed -n 's/^       \(cc -O2 .* -lm && \.\/[a-z_]*\) *.*/\1/p' "$source" | head -n 1)
    compile=${line%% && *}
    program=${line##* && }
    check "$lesson: no warnings" $cc -std=c99 -Wall -Wextra -Werror -fsyntax-only "$source"
    check "$lesson: its compile line" sh -c "$cc $linked ${compile#cc } $objects"
    sed -n '/^   prints/,/^\*\//p' "$source" | sed -n 's/^       //p' > expected
    check "$lesson: runs" sh -c "$program > output"
    check "$lesson: prints something" test -s output
    shape expected > expected.shape
    shape output > output.shape
    check "$lesson: prints what its comment says, except digits" diff expected.shape output.shape
    check "$lesson: where no data is" fails "project's root" sh -c "cd away && ../$program"
done
check "output that cannot be written" sh -c '! ./statistics > /dev/full'
check "nothing is left behind" test ! -e 07_checkpoint.safetensors

finish
