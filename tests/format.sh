#!/bin/sh
# Checks that header, tests, examples and benchmarks have the style of .clang-format.
#
#   sh tests/format.sh
#
# Other versions of clang-format lay out some lines differently, so only version 14 is asked.
# The last line is "format: N passed, N failed, N skipped".

root=$(cd "$(dirname "$0")/.." && pwd)
tool=
for name in clang-format-14 clang-format; do
    if [ -z "$tool" ] && $name --version 2> /dev/null | grep -q 'version 14\.'; then
        tool=$name
    fi
done
if [ -z "$tool" ]; then
    echo "skip: clang-format 14 is not installed (apt-get install clang-format-14)"
    echo "format: 0 passed, 0 failed, 1 skipped"
    exit 0
fi

passed=0
failed=0
cd "$root" || exit 1
for file in prunability.h $(find tests examples bench -name '*.[ch]' | sort); do
    if $tool --dry-run --Werror "$file" 2> /dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s: run %s -i on it\n' "$file" "$tool"
    fi
done
printf 'format: %d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
