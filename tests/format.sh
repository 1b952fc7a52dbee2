#!/bin/sh
# Checks that header, tests, examples and benchmarks follow .clang-format.
#
#   sh tests/format.sh
#
# Other versions of clang-format lay out some lines differently, so only version 14 is used. The
# last line is "format: N passed, N failed", with ", N skipped" if version 14 is missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
tool=
for name in clang-format-14 clang-format; do
    if [ -z "$tool" ] && $name --version 2> /dev/null | grep -q 'version 14\.'; then
        tool=$name
    fi
done
if [ -z "$tool" ]; then
    skip "clang-format 14 is not installed (apt-get install clang-format-14)"
    finish
    exit
fi

cd "$here/.." || exit 1
for file in prunability.h $(find tests examples bench -name '*.[ch]' -o -name '*.cpp' | sort); do
    if $tool --dry-run --Werror "$file" 2> /dev/null; then
        pass
    else
        fail "$file: run $tool -i on it"
    fi
done
finish
