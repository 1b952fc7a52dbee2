/* test_bindings.c - section BINDINGS: the library's description of the public structs' layout
   against the compiler's. tests/header.sh checks that no field is missing. */
#include "../prunability.h"
#include "test.h"

#include <string.h>

static const prun_field *field_of(const char *structure, const char *name) {
    int64_t i, count;
    const prun_field *fields = prun_fields(&count);
    for (i = 0; i < count; i++)
        if (strcmp(fields[i].structure, structure) == 0 && strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

static void check_field(const char *structure, const char *name, const char *type, size_t offset,
                        size_t size) {
    const prun_field *field = field_of(structure, name);
    if (!CHECK(field != NULL)) return;
    CHECK(strcmp(field->type, type) == 0);
    CHECK(field->offset == (int64_t)offset && field->size == (int64_t)size);
}

/* One field of every kind. */
static void fields_are_where_the_compiler_puts_them(void) {
    prun_images *m = NULL;
    prun_objective *o = NULL;
    prun_cmi *c = NULL;
    check_field("prun_images", "std", "float[PRUN_MAX_IMAGE_CHANNELS]", offsetof(prun_images, std),
                sizeof m->std);
    check_field("prun_images", "pixels", "const uint8_t *", offsetof(prun_images, pixels),
                sizeof m->pixels);
    check_field("prun_images", "normalization", "prun_normalization",
                offsetof(prun_images, normalization), sizeof m->normalization);
    check_field("prun_objective", "gradient",
                "prun_status (*)(const prun_objective *, const int64_t *, int64_t, float *, "
                "double *)",
                offsetof(prun_objective, gradient), sizeof o->gradient);
    check_field("prun_cmi", "subset", "prun_information[PRUN_MAX_SUBSETS]",
                offsetof(prun_cmi, subset), sizeof c->subset);
    check_field("prun_axes", "values", "const double *const *", offsetof(prun_axes, values),
                sizeof(void *));
}

/* Fields follow one another without overlap and end within their struct. */
static void fields_fill_their_structs(void) {
    int64_t i, count, end = 0;
    const prun_field *fields = prun_fields(&count);
    CHECK(count > 300);
    for (i = 0; i < count; i++) {
        const int64_t size = prun_struct_size(fields[i].structure);
        if (i == 0 || strcmp(fields[i].structure, fields[i - 1].structure) != 0) end = 0;
        if (!CHECK(fields[i].offset >= end && fields[i].size > 0 &&
                   fields[i].offset + fields[i].size <= size))
            printf("  %s.%s\n", fields[i].structure, fields[i].name);
        end = fields[i].offset + fields[i].size;
        if (i + 1 == count || strcmp(fields[i].structure, fields[i + 1].structure) != 0)
            CHECK(size - end < 8); /* padding */
    }
}

static void sizes_are_those_of_the_compiler(void) {
    CHECK(prun_struct_size("prun_context") == (int64_t)sizeof(prun_context));
    CHECK(prun_struct_size("prun_measure_result") == (int64_t)sizeof(prun_measure_result));
    CHECK(prun_struct_size("prun_field") == (int64_t)sizeof(prun_field));
    CHECK(prun_struct_size("prun_net") == -1); /* opaque */
    CHECK(strcmp(prun_version(), PRUNABILITY_VERSION) == 0);
}

static const test_case cases[] = {
    TEST_CASE(fields_are_where_the_compiler_puts_them),
    TEST_CASE(fields_fill_their_structs),
    TEST_CASE(sizes_are_those_of_the_compiler),
};

int main(int argc, char **argv) { return TEST_MAIN("test_bindings", cases, argc, argv); }
