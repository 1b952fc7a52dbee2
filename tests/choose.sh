#!/bin/sh
# Chooses tests by name or by what they call: prints those of TEST... whose path contains WORD, or
# whose first comment names it as a section. If WORD is a public function (prun_...), prints those
# that call it, directly or in a header that they include.
#
#   sh tests/choose.sh WORD TEST...      each TEST is a program of build/ or a script
#
# If none matches, says so, lists all tests on standard error, and fails.

word=$1
section=$(printf '%s\n' "$word" | tr '[:lower:]' '[:upper:]')
shift

# source_of TEST: its source file
source_of() {
    case $1 in
    build/fuzz_*) echo "tests/fuzz/${1#build/}.c" ;;
    build/*) echo "tests/${1#build/}.c" ;;
    *) echo "$1" ;;
    esac
}

# calls SOURCE: whether the function's name occurs in it or in a header of its directory that it
# includes
calls() {
    grep -qw -e "$word" "$1" && return
    for header in $(sed -n 's/^#include "\([a-z_]*\.h\)".*/\1/p' "$1"); do
        case $header in implementation.h | test.h) continue ;; esac
        grep -qw -e "$word" "${1%/*}/$header" && return
    done
    return 1
}

# is_named SOURCE: whether the word is part of its path or a section that its first comment names
is_named() {
    case ${1#tests/} in *"$word"*) return ;; esac
    case $1 in *.c) sed -n '1,/\*\//p' "$1" | grep -qw -e "$section" ;; *) return 1 ;; esac
}

chosen=
for test in "$@"; do
    source=$(source_of "$test")
    case $word in
    prun_*) calls "$source" && chosen="$chosen $test" ;;
    *) is_named "$source" && chosen="$chosen $test" ;;
    esac
done
if [ -z "$chosen" ]; then
    echo "no test has \"$word\" in its name, tests that section or calls it; there are" >&2
    for test in "$@"; do
        source=$(source_of "$test")
        echo "    ${source#tests/}" >&2
    done
    exit 1
fi
echo $chosen
