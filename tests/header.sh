#!/bin/sh
# Checks on prunability.h as a file: table of contents, layout, names, and what its object exports
# and needs.
#
#   [CC=cc] sh tests/header.sh [HEADER]
#
# The last line is "header: N passed, N failed".

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
header=${1:-$here/../prunability.h}

# ---- contents ----

# Tags of the section lines, but for the table itself, against the tags the table names.
sed -n 's|^/\* \[\([A-Z0-9.]*\)\].*|\1|p' "$header" | grep -v '^CONTENTS$' > "$work/sections"
awk '/^\/\* \[/ { inside = /^\/\* \[CONTENTS\]/; next } inside' "$header" \
    | grep -o '\[[A-Z][A-Z0-9.]*\]' | tr -d '[]' | grep -v '^CONTENTS$' > "$work/contents"
diff "$work/contents" "$work/sections" > "$work/wrong"
[ -s "$work/sections" ] || echo "no section lines" >> "$work/wrong"
verdict "the table of contents names every section in order" "$work/wrong"
sort "$work/sections" | uniq -d > "$work/wrong"
verdict "no two sections of one name" "$work/wrong"

# ---- layout ----

# the width counts characters, so bytes that continue a UTF-8 character do not
LC_ALL=C tr -d '\200-\277' < "$header" | awk 'length > 100 { print NR ": " $0 }' > "$work/wrong"
verdict "no line is wider than 100 columns" "$work/wrong"
tab=$(printf '\t')
return=$(printf '\r')
grep -n "$tab" "$header" > "$work/wrong"
verdict "no tabs" "$work/wrong"
grep -n "[ $return]\$" "$header" > "$work/wrong"
verdict "no blanks at line ends" "$work/wrong"
LC_ALL=C grep -n '@[A-Z][A-Z]*@' "$header" > "$work/wrong"
verdict "no placeholders left" "$work/wrong"

# Top-level functions, and macros of many lines, with their lengths. A block opens with a line
# ending in "{" outside of any other and closes with "}" in column 0; it is a function if the text
# before the brace holds a parameter list and is no type, table or extern "C".
awk '
    macro { lines++; if (!/\\$/) { print lines, "macro", name, start; macro = 0 }; next }
    /^#/ {
        if (/^# *define/ && /\\$/) { macro = 1; lines = 1; start = NR; name = $0 }
        next
    }
    inside { if (/^}/) { inside = 0; if (function_) print NR - start + 1, "function", head, start }
             next }
    /^[A-Za-z_]/ { head = $0; start = NR; text = "" }
    { text = text $0 }
    /\{ *$/ && head !~ /^extern "C"/ {
        inside = 1
        type = head ~ /^(typedef|struct|enum|union) *[a-z_0-9]* *\{/
        function_ = text ~ /\(/ && text !~ /=/ && !type
    }
    /[;}] *$/ && !inside { text = ""; head = "" }
' "$header" > "$work/lengths"
awk '$1 > 120' "$work/lengths" > "$work/wrong"
verdict "no function is longer than 120 lines" "$work/wrong"
grep -c ' function ' "$work/lengths" | awk '$1 < 100 { print "only " $1 " functions found" }' \
    > "$work/wrong"
verdict "the search for functions finds them" "$work/wrong"

# ---- names and calls ----

# The code alone: comments and string literals blanked, line numbers kept.
awk '
    {
        line = $0
        code = ""
        while (line != "") {
            if (comment) {
                at = index(line, "*/")
                if (!at) { line = ""; break }
                line = substr(line, at + 2)
                comment = 0
            } else if (match(line, /\/\*|"([^"\\]|\\.)*"|'\''([^'\''\\]|\\.)*'\''/)) {
                code = code substr(line, 1, RSTART - 1) " "
                comment = substr(line, RSTART, 2) == "/*"
                line = substr(line, RSTART + (comment ? 2 : RLENGTH))
            } else {
                code = code line
                line = ""
            }
        }
        print NR ": " code
    }
' "$header" > "$work/code"

ends='exit|_Exit|abort|assert|longjmp|system'
prints='printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror'
unsafe='sprintf|vsprintf|gets|alloca|rand|srand|setlocale|atoi|atof|strtod'
grep -E "(^|[^A-Za-z0-9_])($ends|$prints|$unsafe) *\\(" "$work/code" > "$work/wrong"
verdict "no call that ends the program, prints, or is unsafe" "$work/wrong"
grep -E '(^|[^A-Za-z0-9_])(std(out|err|in))([^A-Za-z0-9_]|$)' "$work/code" > "$work/wrong"
verdict "no use of the standard streams" "$work/wrong"
grep -E '^[0-9]+: *# *define' "$work/code" | grep -Ev '# *define +(PRUN|prun__)' > "$work/wrong"
verdict "every macro's name begins with PRUN" "$work/wrong"
grep -E '// ' "$work/code" > "$work/wrong"
verdict "comments are of the C89 kind" "$work/wrong"

# What including the declarations defines beyond the three headers they need.
printf '#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n' > "$work/without.c"
{ cat "$work/without.c"; printf '#include "%s"\n' "$header"; } > "$work/with.c"
for file in with without; do
    $cc -E -dM "$work/$file.c" | sort > "$work/$file.macros"
done
comm -23 "$work/with.macros" "$work/without.macros" > "$work/added"
awk '$2 !~ /^PRUN/' "$work/added" > "$work/wrong"
grep -q 'define PRUNABILITY_VERSION ' "$work/added" || echo "version not found" >> "$work/wrong"
verdict "the declarations leak no macro without the prefix" "$work/wrong"

# The implementation takes its own macros back, but for three that the tests read.
printf '#define PRUNABILITY_IMPLEMENTATION\n#include "%s"\n' "$header" > "$work/all.c"
$cc -E -dM "$work/all.c" | awk '$2 ~ /^PRUN__/ { sub(/\(.*/, "", $2); print $2 }' |
    grep -Ev '^PRUN__(OPENMP|X86|STREAM_HESSIAN)$' > "$work/wrong"
verdict "private macros end with the implementation" "$work/wrong"

# ---- the object ----

# functions of libc, libm, the compiler's runtime and the OpenMP runtimes
cat > "$work/known" <<'LIST'
malloc free memcpy memmove memset memcmp bcmp memchr strlen strcmp strncmp strchr strrchr strstr strcpy
snprintf vsnprintf qsort strtoll strtoull strerror __errno_location __error
fopen fclose fread fwrite fflush fseek ftell fseeko ftello feof ferror fileno fsync rename remove
stat fstat unlink setvbuf getc fgetc ungetc fputc putc open close read write
lstat readlink realpath fdopen fchmod fchown geteuid getpid
time exp expf exp2 log logf log1p log2 expm1 sqrt sqrtf pow fabs fabsf floor floorf ceil round lround
llround sin cos sincos tan atan2 erfc erf lgamma hypot fmax fmin fmaxf fminf ldexp frexp fmod
isnan isinf finite cbrt rint nearbyint trunc nextafter lrint llrint scalbn
clock omp_get_max_threads omp_get_num_threads omp_get_thread_num omp_in_parallel omp_get_level
omp_get_active_level omp_get_max_active_levels
__stack_chk_fail _GLOBAL_OFFSET_TABLE_
LIST

# object NAME FLAGS...: compiles the implementation without position independence, where constant
# tables of function pointers need no relocation and so no writable section
object() {
    name=$1
    shift
    printf '#define PRUNABILITY_IMPLEMENTATION\n#include "%s"\n' "$header" > "$work/$name.c"
    $cc "$@" -fno-pic -fno-pie -c "$work/$name.c" -o "$work/$name.o" 2> "$work/$name.log"
}

symbols() {
    label=$1
    file=$2
    nm "$file" > "$work/symbols"
    awk 'NF == 3 && $2 ~ /[A-Z]/ && $3 !~ /^prun_/ && $3 !~ /^prun__/' "$work/symbols" \
        > "$work/wrong"
    awk 'NF == 3 && $2 == "T" && $3 ~ /^prun__/ { print "exported: " $3 }' "$work/symbols" \
        >> "$work/wrong"
    grep -q ' T prun_prunability_search$' "$work/symbols" || echo "no symbols" >> "$work/wrong"
    verdict "$label: exported symbols begin with prun_" "$work/wrong"
    # the pointer to the kernel table, which prun_isa_set changes, and the process whose threads
    # OpenMP keeps; the OpenMP outlining of clang leaves constant descriptors among the data
    awk '$2 ~ /^[DdBbCGgSs]$/ && $3 !~ /kmpc|omp_|gomp_|^prun__(active|team_process)$/ { print $3 }' \
        "$work/symbols" > "$work/wrong"
    verdict "$label: no writable data but what is documented" "$work/wrong"
    tr ' ' '\n' < "$work/known" | sort -u > "$work/known.sorted"
    awk '$1 == "U" || $1 == "w" { sub(/@.*/, "", $2); print $2 }' "$work/symbols" \
        | grep -Ev '^(GOMP_|__kmpc_|__isoc[0-9]*_|__[a-z]*_chk$|__(log|exp|pow)[a-z0-9]*_finite$)' \
        | sort -u | comm -23 - "$work/known.sorted" > "$work/wrong"
    verdict "$label: needs libc and libm alone" "$work/wrong"
}

if ! command -v nm > /dev/null; then
    skip "symbols: nm is not installed"
elif object serial -O1; then
    symbols serial "$work/serial.o"
    if object openmp -O1 -fopenmp; then
        symbols OpenMP "$work/openmp.o"
    else
        skip "symbols with OpenMP: $cc has none"
    fi
else
    verdict "the implementation compiles" "$work/serial.log"
fi

finish
