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

# Tags of the section lines, except the table's own, against the tags in the table.
sed -n 's|^/\* \[\([A-Z0-9.]*\)\].*|\1|p' "$header" | grep -v '^CONTENTS$' > "$work/sections"
awk '/^\/\* \[/ { inside = /^\/\* \[CONTENTS\]/; next } inside' "$header" \
    | grep -o '\[[A-Z][A-Z0-9.]*\]' | tr -d '[]' | grep -v '^CONTENTS$' > "$work/contents"
diff "$work/contents" "$work/sections" > "$work/wrong"
[ -s "$work/sections" ] || echo "no section lines" >> "$work/wrong"
verdict "the table of contents names every section in order" "$work/wrong"
sort "$work/sections" | uniq -d > "$work/wrong"
verdict "no two sections of one name" "$work/wrong"
# each line of the table repeats the heading of its section
sed -n 's|^/\* \(\[[A-Z0-9.]*\]\) \(.*\) \*/$|\1 \2|p' "$header" | grep -v '^\[CONTENTS\]' \
    > "$work/headings"
awk '/^\/\* \[/ { inside = /^\/\* \[CONTENTS\]/; next } inside' "$header" \
    | sed -n 's|^   \(\[[A-Z0-9.]*\]\)  *|\1 |p' | diff - "$work/headings" > "$work/wrong"
verdict "the table of contents repeats the headings" "$work/wrong"

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
sed 's/^[0-9]*: //' "$work/code" > "$work/plain"

# Top-level functions, and macros of many lines, with their lengths. A block opens with a line
# ending in "{" outside of any other and closes with "}" in column 0; it is a function if the text
# before the brace contains a parameter list and is not a type, table or extern "C".
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
' "$work/plain" > "$work/lengths"
awk '$1 > 120' "$work/lengths" > "$work/wrong"
verdict "no function is longer than 120 lines" "$work/wrong"
grep -c ' function ' "$work/lengths" | awk '$1 < 100 { print "only " $1 " functions found" }' \
    > "$work/wrong"
verdict "the search for functions finds them" "$work/wrong"

# ---- structure ----

awk '
    /^\/\* \[/ { if (tag ~ /\.I$/ && NR - start > 1200) print tag ": " NR - start " lines"
                 tag = $2; gsub(/[][]/, "", tag); start = NR }
' "$header" > "$work/wrong"
verdict "no section of the implementation is longer than 1,200 lines" "$work/wrong"

# Every section of the implementation has a test that names it in its first comment.
grep -o '^/\* \[[A-Z0-9]*\.I\]' "$header" | sed 's|.*\[||; s|\.I\]||' | while read -r tag; do
    for test in "$here"/test_*.c; do
        sed -n '1,/\*\//p' "$test" | grep -qw -e "$tag" && continue 2
    done
    echo "no test names $tag"
done > "$work/wrong"
verdict "every section has a test that names it" "$work/wrong"

# The implementation's code, each line after its number and the number of its section.
awk '
    NR == FNR { if (/^\/\* \[[A-Z0-9]*\.I\]/) from[++sections] = FNR; next }
    { while (at < sections && FNR >= from[at + 1]) at++ }
    at { print FNR, at, $0 }
' "$header" "$work/plain" > "$work/sectioned"
awk '
    $3 ~ /^(static|PRUNDEF)$/ && match($0, /prun_[a-z0-9_]+\(/) && !/; *$/ {
        print $1, $2, substr($0, RSTART, RLENGTH - 1)
    }
' "$work/sectioned" > "$work/functions"
awk '
    NR == FNR { if (!($3 in home)) home[$3] = $2; next }
    {
        line = $0
        while (match(line, /prun_[a-z0-9_]+/)) {
            name = substr(line, RSTART, RLENGTH)
            if (home[name] > $2) print $1 ": " name " belongs to a later section"
            line = substr(line, RSTART + RLENGTH)
        }
    }
' "$work/functions" "$work/sectioned" > "$work/wrong"
[ "$(wc -l < "$work/functions")" -gt 500 ] || echo "few functions found" >> "$work/wrong"
verdict "no section calls a later one" "$work/wrong"

# Private functions have a comment above them; directives may come between. A group of one-line
# functions has one above the first; the operations of a tier are documented in prun__vector.
awk '
    /^\/\* \[CORE.I\]/ { on = 1 }
    !on { next }
    waiting != "" && /;$/ { waiting = "" } # a prototype
    waiting != "" && /\{$/ { print waiting; waiting = "" }
    /^(static|PRUN__[A-Z0-9]+) / && /prun__[a-z0-9_]+\(/ && !said && !/prun__vector_/ {
        match($0, /prun__[a-z0-9_]+/)
        waiting = NR ": " substr($0, RSTART, RLENGTH)
        if (/;$/) waiting = ""
        if (/\{.*\}$/ || /\{$/) { print waiting; waiting = "" }
    }
    /\*\/ *$/ { said = 1; next }
    /^#/ || /\\$/ { next }
    /^(static|PRUN__[A-Z0-9]+) .*\{.*\} *$/ { next } # the next one of a group
    /^(static|PRUN__[A-Z0-9]+|PRUNDEF) .*[^;{}]$/ { next }
    { said = 0 }
' "$header" > "$work/wrong"
verdict "every private function has a comment" "$work/wrong"

# ---- the interface ----

# Declarations, one per line: line number, then the text without comments.
last=$(grep -n 'endif /\* PRUNABILITY_H_INCLUDED' "$header" | cut -d: -f1)
head -n "$last" "$work/plain" | awk '
    /^PRUNDEF / { text = ""; start = NR; open = 1 }
    open { text = text " " $0 }
    open && /;/ { print start ":" text; open = 0 }
' > "$work/declarations"
awk '
    {
        text = $0
        sub(/^[^(]*\(/, "", text)
        count = 1
        depth = 1
        for (i = 1; i <= length(text) && depth > 0; i++) {
            c = substr(text, i, 1)
            depth += (c == "(") - (c == ")")
            count += c == "," && depth == 1
        }
        if (count > 7) print $1, count " parameters"
    }
' "$work/declarations" > "$work/wrong"
[ "$(wc -l < "$work/declarations")" -gt 150 ] || echo "few declarations found" >> "$work/wrong"
verdict "no public function has more than seven parameters" "$work/wrong"

# Every public declaration has a comment: above it, above the first of its block, or on its first
# line.
head -n "$last" "$header" | awk '
    /^$/ { said = 0 }
    /\*\// { said = 1 }
    /^(PRUNDEF|typedef|struct|enum) / && !said { print NR ": " $0 }
' > "$work/wrong"
verdict "every public declaration has a comment" "$work/wrong"

# Every struct of options, recognised by its name or comment, has a _resolved function.
{
    grep -o '^} prun_[a-z0-9_]*_options;' "$header" | sed 's/^} //; s/_options;//'
    awk '/default in brackets/ { on = 1 } on && /^} / { sub(/^} /, ""); sub(/(_options)?;.*/, ""); print; on = 0 }' \
        "$header"
} | sort -u > "$work/options"
while read -r name; do
    grep -q "^PRUNDEF .*[ *]${name}_resolved(" "$header" || echo "${name}_resolved is missing"
done < "$work/options" > "$work/wrong"
[ "$(wc -l < "$work/options")" -gt 9 ] || echo "few structs of options found" >> "$work/wrong"
verdict "every struct of options has its _resolved" "$work/wrong"

# The table of fields against the declarations.
head -n "$last" "$work/plain" | awk '
    /^(typedef )?struct prun_[a-z0-9_]+ \{/ { match($0, /prun_[a-z0-9_]+/); name = substr($0, RSTART, RLENGTH); next }
    name != "" && /^\}/ { name = "" }
    name != "" {
        text = text " " $0
        if (text !~ /;/) next
        sub(/;.*/, "", text)
        if (match(text, /\(\*[a-z_0-9]+\)/)) print name, substr(text, RSTART + 2, RLENGTH - 3)
        else {
            gsub(/\[[^]]*\]/, "", text)
            n = split(text, part, ",")
            for (i = 1; i <= n; i++) { gsub(/[ *]+$/, "", part[i]); sub(/.*[ *]/, "", part[i]); print name, part[i] }
        }
        text = ""
    }
' > "$work/fields"
tr '\n' ' ' < "$work/plain" | grep -o 'PRUN__FIELD(prun_[a-z0-9_]*, *[a-z_0-9]*' \
    | sed 's/PRUN__FIELD(//; s/, */ /' | diff "$work/fields" - > "$work/wrong"
[ "$(wc -l < "$work/fields")" -gt 300 ] || echo "few fields found" >> "$work/wrong"
verdict "the table of fields is complete and in order" "$work/wrong"

# ---- names and calls ----

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
verdict "comments are in C89 style" "$work/wrong"

# The macros that the declarations add to those of the three headers that they need.
printf '#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n' > "$work/without.c"
{ cat "$work/without.c"; printf '#include "%s"\n' "$header"; } > "$work/with.c"
for file in with without; do
    $cc -E -dM "$work/$file.c" | sort > "$work/$file.macros"
done
comm -23 "$work/with.macros" "$work/without.macros" > "$work/added"
awk '$2 !~ /^PRUN/' "$work/added" > "$work/wrong"
grep -q 'define PRUNABILITY_VERSION ' "$work/added" || echo "version not found" >> "$work/wrong"
verdict "the declarations leak no macro without the prefix" "$work/wrong"

# The implementation undefines its own macros, except four that the tests and benchmarks read.
printf '#define PRUNABILITY_IMPLEMENTATION\n#include "%s"\n' "$header" > "$work/all.c"
$cc -E -dM "$work/all.c" | awk '$2 ~ /^PRUN__/ { sub(/\(.*/, "", $2); print $2 }' |
    grep -Ev '^PRUN__(OPENMP|X86|NEON|STREAM_HESSIAN)$' > "$work/wrong"
verdict "private macros end with the implementation" "$work/wrong"

# ---- the object ----

# functions of libc, libm, the compiler's runtime and the OpenMP runtimes
cat > "$work/known" <<'LIST'
malloc free memcpy memmove memset memcmp bcmp memchr strlen strcmp strncmp strchr strrchr strstr strcpy
snprintf vsnprintf qsort strtoll strtoull strerror __errno_location __error
fopen fclose fread fwrite fflush fseek ftell fseeko ftello feof ferror fileno fsync rename remove
stat fstat unlink setvbuf getc fgetc ungetc fputc putc open close read write
lstat readlink realpath fdopen fchmod fchown geteuid getpid
time exp expf exp2 log logf log1p log10 log2 expm1 sqrt sqrtf pow fabs fabsf floor floorf ceil round lround
llround sin cos sincos tan atan2 erfc erf lgamma hypot fmax fmin fmaxf fminf ldexp frexp fmod
isnan isinf finite cbrt rint nearbyint trunc nextafter lrint llrint scalbn
clock omp_get_max_threads omp_get_num_threads omp_get_thread_num omp_in_parallel omp_get_level
omp_get_active_level omp_get_max_active_levels
__stack_chk_fail _GLOBAL_OFFSET_TABLE_
LIST

# object NAME FLAGS...: compiles the implementation as position-dependent code, in which constant
# tables of function pointers need no relocation and thus no writable section
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
    # allowed are the pointer to the kernel table, which prun_isa_set changes, the process that
    # started OpenMP's threads, and the constant descriptors that clang's OpenMP outlining adds
    awk '$2 ~ /^[DdBbCGgSs]$/ && $3 !~ /kmpc|omp_|gomp_|^prun__(active|team_process)$/ { print $3 }' \
        "$work/symbols" > "$work/wrong"
    verdict "$label: no writable data except what is documented" "$work/wrong"
    tr ' ' '\n' < "$work/known" | sort -u > "$work/known.sorted"
    awk '$1 == "U" || $1 == "w" { sub(/@.*/, "", $2); print $2 }' "$work/symbols" \
        | grep -Ev '^(GOMP_|__kmpc_|__isoc[0-9]*_|__[a-z]*_chk$|__(log|exp|pow)[a-z0-9]*_finite$)' \
        | sort -u | comm -23 - "$work/known.sorted" > "$work/wrong"
    verdict "$label: needs only libc and libm" "$work/wrong"
}

if ! command -v nm > /dev/null; then
    skip "symbols: nm is not installed"
elif object serial -O0; then
    symbols serial "$work/serial.o"
    if object openmp -O0 -fopenmp; then
        symbols OpenMP "$work/openmp.o"
    else
        skip "symbols with OpenMP: $cc has none"
    fi
else
    verdict "the implementation compiles" "$work/serial.log"
fi

finish
