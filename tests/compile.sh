#!/bin/sh
# Compiles the implementation and programs that use it under all supported C and C++ standards, with
# warnings as errors and with every build option, and runs the programs.
#
#   [CC=cc] [CXX=c++] sh tests/compile.sh [GROUP...]
#   sh tests/compile.sh --groups     prints the groups
#
# Without a GROUP it runs all of them.
# CC unset or cc: gcc and clang, as far as they are installed; otherwise only that compiler. The
# last line is "compile: N passed, N failed", with ", N skipped" for missing standards.

# shellcheck disable=SC2086 # compilers with options are split into words on purpose

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
source=$here/compile
all="standards parts options levels hostilities mixtures windows"
[ "$*" != --groups ] || { echo "$all"; exit; }
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"

# language STANDARD: sets how to compile a file as that standard, and how to link: $compile, $link
language() {
    case $1 in
    *++*)
        compile="$cxx -x c++ -std=$1 $warnings"
        link=$cxx
        ;;
    *)
        compile="$cc -x c -std=$1 $warnings -Wstrict-prototypes"
        link=$cc
        ;;
    esac
}

# available STANDARD: whether the compiler is there and knows it
available() {
    language "$1"
    printf 'int main(void) { return 0; }\n' > "$work/probe.c"
    $compile "$work/probe.c" -o "$work/probe" -lm 2> /dev/null
}

# build TITLE OUTPUT "FLAGS" FILES...: one object per file, linked without -x, then run
build() {
    title=$1
    program=$work/$2
    flags=$3
    shift 3
    objects=
    for file in "$@"; do
        object=$program-$(basename "$file").o
        check "$title: $file" $compile $flags -c "$source/$file" -o "$object" || return
        objects="$objects $object"
    done
    check "$title: link" $link $flags $objects -o "$program" -lm || return
    check "$title: run" "$program"
}

# Every standard: the implementation, and a file that only includes the header. The implementation
# is compiled to an object under the first standard of each language. The others check its syntax
# and link with that object.
standards() {
    for standard in c99 c11 c2x c++11 c++17; do
        if ! available "$standard"; then
            skip "$cc $standard: not available"
            continue
        fi
        language "$standard"
        case $standard in
        c99 | c++11)
            build "$cc $standard" standard -O2 implementation.c user.c
            continue
            ;;
        esac
        check "$cc $standard: implementation.c" $compile -fsyntax-only "$source/implementation.c"
        check "$cc $standard: user.c" $compile -O2 -c "$source/user.c" -o "$work/user.o" || continue
        check "$cc $standard: link" $link "$work/standard-implementation.c.o" "$work/user.o" \
            -o "$work/user" -lm || continue
        check "$cc $standard: run" "$work/user"
    done
}

# The build options, as C99 and C++11. Plain C is optimised once, for the warnings.
options() {
    for standard in c99 c++11; do
        available "$standard" || continue
        language "$standard"
        label="$cc $standard"
        build "$label, two static copies" static -O0 static_a.c static_b.c
        case $standard in
        c99)
            level=-O1
            build "$label, header twice" twice -O0 twice.c
            build "$label, own allocator" allocator -O0 allocator.c
            ;;
        *)
            level=-O0
            check "$label, header twice" $compile -fsyntax-only "$source/twice.c"
            check "$label, own allocator" $compile -fsyntax-only "$source/allocator.c"
            ;;
        esac
        build "$label, no SIMD, no OpenMP" plain \
            "$level -DPRUNABILITY_NO_SIMD -DPRUNABILITY_NO_OPENMP" implementation.c user.c
    done
}

# Builds without some parts, one by one and together: no warnings, the same answers, and the names
# of these parts are not in the object. As C++, only the syntax is checked.
parts() {
    for standard in c99 c++11; do
        available "$standard" || continue
        language "$standard"
        for part in NET TRAIN HESSIAN STATS FILES "NET HESSIAN STATS FILES" "TRAIN FILES" "STATS FILES"; do
            flags=-O0
            for one in $part; do flags="$flags -DPRUNABILITY_NO_$one"; done
            label="$cc $standard, without $part"
            if [ $standard = c99 ]; then
                build "$label" parts "$flags" implementation.c parts.c
                continue
            fi
            for file in implementation.c parts.c; do
                check "$label: $file" $compile $flags -fsyntax-only "$source/$file"
            done
        done
    done
    language c99
    $compile -O0 -DPRUNABILITY_NO_NET -DPRUNABILITY_NO_HESSIAN -DPRUNABILITY_NO_STATS \
        -DPRUNABILITY_NO_FILES -c "$source/implementation.c" -o "$work/parts.o"
    nm "$work/parts.o" | grep -E 'T prun_(net|layer|train|trainer|hessian|spectrum|kendall|table|output_open|safetensors)_' \
        > "$work/wrong"
    verdict "$cc: parts left out are not in the object" "$work/wrong"
}

# The other optimisation levels, which give other warnings; -O0 to -O2 are built elsewhere.
levels() {
    available c99 || return
    language c99
    for level in -O3 -Os; do
        check "$cc $level" $compile $level -c "$source/implementation.c" -o "$work/level.o"
    done
    check "$cc without the functions of Unix" $compile -U__unix__ -fsyntax-only \
        "$source/implementation.c"
}

# Macros that must not break the header, and flags that it rejects.
hostilities() {
    available c99 || return
    language c99
    build "$cc, hostile macros" hostile -O0 hostile.c
    for flag in -ffast-math -Ofast -ffinite-math-only "-fassociative-math -fno-signed-zeros \
-fno-trapping-math" -freciprocal-math -funsafe-math-optimizations; do
        if $cc -dM -E $flag -x c /dev/null 2> /dev/null | grep -qE \
            '__(FAST_MATH|FINITE_MATH_ONLY|ASSOCIATIVE_MATH|RECIPROCAL_MATH)__ 1'; then
            # shellcheck disable=SC2016
            check "$cc refuses $flag" sh -c '! "$@" 2> /dev/null' sh $cc $flag -fsyntax-only \
                "$source/implementation.c"
        else
            skip "$cc: $flag leaves no trace in the preprocessor"
        fi
    done
}

# Parts of a program in two languages, and OpenMP where the compiler has it.
mixtures() {
    if available c99 && available c++11; then
        language c99
        check "$cc: implementation in C" $compile -O0 -c "$source/implementation.c" \
            -o "$work/mixed-c.o" || return
        language c++11
        check "$cxx: program in C++" $compile -O0 -c "$source/program.cpp" \
            -o "$work/mixed-cxx.o" || return
        check "$cxx: link C++ with C" $cxx "$work/mixed-c.o" "$work/mixed-cxx.o" \
            -o "$work/mixed" -lm || return
        check "$cxx: run C++ with C" "$work/mixed"
    fi
    language c99
    if openmp_works; then
        build "$cc OpenMP" openmp "-O0 -fopenmp" implementation.c user.c
        build "$cc OpenMP switched off" no-openmp "-O0 -fopenmp -DPRUNABILITY_NO_OPENMP" \
            implementation.c user.c
    else
        skip "$cc: no OpenMP"
    fi
}

# msvc TITLE FLAGS... FILE: checks a file's syntax against the headers of tests/msvc
msvc() {
    title=$1
    shift
    check "clang for MSVC, $title" clang --target=x86_64-pc-windows-msvc \
        -fms-compatibility-version=19.38 -isystem "$here/msvc" -Wall -Wextra -Wpedantic -Wgnu -Wvla \
        -Wshadow -Wconversion -Wno-unused-function -Werror -fsyntax-only "$@"
}

# Imitates Visual C++: Clang with Microsoft's predefined macros and without its own, with every GNU
# extension as an error. Then Clang for MSVC as itself, which has the x86 kernels. Then MinGW, whose
# GCC must not have them.
windows() {
    [ -z "$windows_done" ] || return # whatever the compiler is
    windows_done=yes
    if ! clang --target=x86_64-pc-windows-msvc -nostdinc -fsyntax-only -x c - < /dev/null \
        2> /dev/null; then
        skip "clang for MSVC: not available"
    else
        for standard in c11 c17 c++14 c++17; do
            language=${standard%%[0-9]*}
            for file in implementation.c user.c; do
                msvc "$standard: $file" -nostdinc -U__clang__ -x $language -std=$standard \
                    "$source/$file"
            done
            msvc "$standard, as Clang: implementation.c" -nostdlibinc -x $language -std=$standard \
                "$source/implementation.c"
        done
        for file in "$here"/../examples/0*.c; do
            msvc "c11: $(basename "$file")" -nostdinc -U__clang__ -x c -std=c11 "$file"
        done
        check "/fp:fast is refused" sh -c '! "$@" 2> /dev/null' sh clang -D_M_FP_FAST \
            --target=x86_64-pc-windows-msvc -nostdinc -isystem "$here/msvc" -fsyntax-only \
            "$source/implementation.c"
        # Visual C++ supports only OpenMP 2.0
        grep -n '#pragma omp' "$here/../prunability.h" | grep -vE \
            'omp parallel for schedule\(static\) num_threads\([a-z]+\)$' > "$work/wrong"
        verdict "the header's OpenMP is that of MSVC" "$work/wrong"
        grep -nE '#pragma omp' "$here"/../examples/*.c "$here"/../examples/*/*.[ch] | grep -vE \
            'omp (critical\([a-z_]+\)|parallel for schedule\([a-z, 0-9]+\) num_threads\([a-z]+\))$' \
            > "$work/wrong"
        verdict "that of the examples too" "$work/wrong"
    fi
    for mingw in x86_64-w64-mingw32-gcc x86_64-w64-mingw32-g++ \
        "clang --target=x86_64-w64-windows-gnu"; do
        case $mingw in
        *++*) language="c++ -std=c++11" ;;
        *) language="c -std=c99 -Wstrict-prototypes" ;;
        esac
        printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' > "$work/probe.c"
        if ! $mingw -fsyntax-only "$work/probe.c" 2> /dev/null; then
            skip "${mingw%% *} for MinGW: not available"
            continue
        fi
        check "${mingw%% *}: implementation.c" $mingw -x $language $warnings -c -O1 \
            "$source/implementation.c" -o "$work/mingw.o"
        check "${mingw%% *}: after <windows.h>" $mingw -x $language $warnings -include windows.h \
            -fsyntax-only "$source/implementation.c"
        case $mingw in
        *clang*) has=prun__kernels_avx2 hasnt=nothing_of_this_name ;;
        *) has=prun__kernels_portable hasnt=prun__kernels_avx2 ;;
        esac
        nm "$work/mingw.o" > "$work/names"
        check "${mingw%% *} for MinGW: its kernels" sh -c "grep -q $has $work/names && \
            ! grep -q $hasnt $work/names"
    done
    for file in "$here"/../examples/studies/*.c; do
        if $mingw -fsyntax-only "$work/probe.c" 2> /dev/null; then
            check "clang for MinGW: $(basename "$file")" $mingw -std=c99 $warnings -fsyntax-only "$file"
        fi
    done
}

# test_compiler CC CXX
test_compiler() {
    cc=$1
    cxx=$2
    if ! command -v "${cc%% *}" > /dev/null; then
        skip "$cc: not installed"
        return
    fi
    for group in $groups; do $group; done
}

windows_done=
groups=${*:-$all}
[ $# -eq 0 ] || suite="compile $*"
for group in $groups; do
    case " $all " in
    *" $group "*) ;;
    *)
        echo "compile.sh: no group \"$group\"; the groups are $all" >&2
        exit 2
        ;;
    esac
done

case ${CC:-cc} in
cc)
    test_compiler gcc g++
    test_compiler clang clang++
    ;;
*)
    # make sets CXX to g++ by default, whatever CC is
    case $CC in
    *clang*) [ "${CXX:-g++}" != g++ ] || CXX=$(printf '%s' "$CC" | sed 's/clang/clang++/') ;;
    *gcc*) [ "${CXX:-g++}" != g++ ] || CXX=$(printf '%s' "$CC" | sed 's/gcc/g++/') ;;
    esac
    test_compiler "$CC" "${CXX:-c++}"
    ;;
esac

[ $((passed + failed)) -gt 0 ] || fail "no compiler to test with"
finish
