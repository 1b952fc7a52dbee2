#!/bin/sh
# The ways to use the library in another project: make install, pkg-config, CMake with the README's
# lines, the two-line .c file, the shared library; from C and C++.
#
#   [CC=cc] [CXX=c++] sh tests/embedding.sh
#
# The last line is "embedding: N passed, N failed", with ", N skipped" for tools that are missing.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
cd "$here/.." || exit 1

# block LANGUAGE: the first block of that language in the README's section "In your project"
block() {
    awk -v fence="\`\`\`$1" '
        /^## / { section = $0 == "## In your project" }
        section && on && /^```$/ { exit }
        section && on
        section && $0 == fence { on = 1 }' README.md
}

prefix=$work/prefix
check 'make install' make install PREFIX="$prefix"
check 'the header is there' cmp prunability.h "$prefix/include/prunability.h"
check 'make install below DESTDIR' make install PREFIX=/usr/local DESTDIR="$work/stage"
check 'the package file has the prefix without DESTDIR' grep -qx 'prefix=/usr/local' \
    "$work/stage/usr/local/share/pkgconfig/prunability.pc"
check 'make install-lib' make install-lib PREFIX="$prefix" CC="$cc" CFLAGS=-O0 OPENMP=

# a project in another directory
mkdir "$work/project"
block c > "$work/project/prunability.c"
check 'the README shows two lines' [ "$(wc -l < "$work/project/prunability.c")" -eq 2 ]
cat > "$work/project/app.c" <<'CODE'
#include <prunability.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    prun_kendall tau;
    double x[4] = {1, 2, 3, 4}, y[4] = {1, 3, 2, 4};
    if (prun_kendall_tau(NULL, x, y, 4, &tau) != PRUN_OK) return 1;
    printf("%s %.3f\n", PRUNABILITY_VERSION, tau.tau_a);
    return tau.tau_a > 0.66 && tau.tau_a < 0.67 ? 0 : 1;
}
CODE
cp "$work/project/app.c" "$work/project/app.cpp"
cd "$work/project" || exit 1

if command -v pkg-config > /dev/null; then
    export PKG_CONFIG_PATH="$prefix/share/pkgconfig"
    flags=$(pkg-config --cflags --libs prunability)
    shared=$(pkg-config --cflags --libs prunability-lib)
    version=$(sed -n 's/^#define PRUNABILITY_VERSION "\(.*\)"/\1/p' "$prefix/include/prunability.h")
    check 'the package has the header'\''s version' \
        [ "$(pkg-config --modversion prunability)" = "$version" ]
else
    skip 'pkg-config: not installed'
    flags="-I$prefix/include -lm"
    shared="-I$prefix/include -L$prefix/lib -lprunability"
fi
check 'C and the two lines' sh -c "$cc -O0 app.c prunability.c -o app $flags && ./app"
if command -v "$cxx" > /dev/null; then
    check 'C++ and the two lines in C' sh -c "$cc -O0 -c prunability.c -o c.o $flags &&
        $cxx -O1 app.cpp c.o -o app-cxx $flags && ./app-cxx"
    check 'C++ and the shared library' sh -c "$cxx -O1 app.cpp -o app-shared-cxx $shared &&
        LD_LIBRARY_PATH=$prefix/lib ./app-shared-cxx"
else
    skip "$cxx: not installed"
fi
check 'C and the shared library' sh -c "$cc -O1 app.c -o app-shared $shared &&
    LD_LIBRARY_PATH=$prefix/lib ./app-shared"
if command -v nm > /dev/null; then
    nm -D --defined-only "$prefix/lib/libprunability.so" | awk '$2 ~ /[A-Z]/ { print $3 }' > exports
    grep -o '\<prun_[a-z0-9_]* *(' "$prefix/include/prunability.h" | tr -d ' (' | sort -u > names
    check 'it exports functions' [ "$(wc -l < exports)" -ge 80 ]
    check 'the header has all of them' sh -c 'sort exports | comm -23 - names > more; ! [ -s more ]'
else
    skip 'nm: not installed'
fi

if command -v cmake > /dev/null; then
    {
        printf 'cmake_minimum_required(VERSION 3.12)\nproject(app C)\n'
        cd "$OLDPWD" && block cmake && cd "$work/project" || exit 1
        printf 'add_executable(app app.c)\ntarget_link_libraries(app prunability)\n'
    } > CMakeLists.txt
    check 'cmake and the README'\''s lines' sh -c "CC='$cc' cmake -DCMAKE_PREFIX_PATH='$prefix' \
        -DCMAKE_C_FLAGS=-O0 -B build . && cmake --build build && build/app"
else
    skip 'cmake: not installed'
fi

cd - > /dev/null || exit 1
check 'make uninstall' make uninstall PREFIX="$prefix"
check 'leaves no file' sh -c "! find '$prefix' -type f -o -type l | grep ."

finish
