/* test_paths.c - section OUTPUT and FILE: names in any script, and the replacement of the old file;
   mainly for Windows, which has special functions for both. */
#include "files.h"

#ifdef _WIN32
#define NOGDI
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
/* these headers must come after it */
#include <io.h>
#include <process.h>
#include <sys/stat.h>
#endif

/* Umlauts, Greek, Chinese, a character of four bytes, blanks. */
static const char *const names[] = {
    "plain.csv",
    "Gr\xc3\xb6\xc3\x9f"
    "e.csv",
    "\xce\xb2 = 0.1.csv",
    "\xe5\x89\xaa\xe6\x9e\x9d.csv",
    "\xf0\x9f\x8c\xb3.csv",
};
enum { NAMES = sizeof names / sizeof *names };

#ifdef _WIN32
static const wchar_t *const wide_names[NAMES] = {L"plain.csv",
                                                 L"Gr\xf6\xdf"
                                                 L"e.csv",
                                                 L"\x3b2 = 0.1.csv", L"\x526a\x679d.csv",
                                                 L"\xd83c\xdf33.csv"};

static int has_wide_name(int i) { return _waccess(wide_names[i], 4) == 0; }
static int remove_path(int i) { return _wremove(wide_names[i]); }
#else
static int has_wide_name(int i) {
    FILE *file = fopen(in_directory(names[i]), "rb");
    return file != NULL && fclose(file) == 0;
}
static int remove_path(int i) { return remove(in_directory(names[i])); }
#endif

/* Writes a table of one cell. */
static prun_status write_table(const char *path, const char *cell) {
    prun_output *output;
    const prun_status status = prun_output_open(&test_context, path, &output);
    if (status != PRUN_OK) return status;
    fprintf(prun_output_stream(output), "a\n%s\n", cell);
    return prun_output_close(output);
}

/* The cell of such a table, or -1. */
static double read_table(const char *path) {
    prun_table table;
    double cell = -1;
    if (prun_table_load_csv(&test_context, path, &table) != PRUN_OK) return -1;
    if (table.rows == 1 && table.columns == 1) cell = table.values[0];
    prun_table_free(&table);
    return cell;
}

static void names_in_any_script(void) {
    int i;
    for (i = 0; i < NAMES; i++) {
        const char *path = in_directory(names[i]);
        CHECK_STATUS(write_table(path, "1"), PRUN_OK);
        CHECK(has_wide_name(i) && read_table(path) == 1);
        CHECK_STATUS(write_table(path, "2"), PRUN_OK); /* replaces it */
        CHECK(has_wide_name(i) && read_table(path) == 2);
        CHECK(remove_path(i) == 0);
        CHECK(read_table(path) == -1 && test_context.status == PRUN_ERR_OPEN);
        CHECK(message_names(names[i]));
    }
}

static void tensors_in_any_script(void) {
    float data[2] = {1.5f, -2.0f}, back[2] = {0, 0};
    const prun_tensor tensor = tensor_of("t", data, 1, 2, 0);
    prun_safetensors *file;
    int i;
    for (i = 0; i < NAMES; i++) {
        const char *path = in_directory(names[i]);
        CHECK_STATUS(prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0, path),
                     PRUN_OK);
        if (!CHECK_STATUS(prun_safetensors_open(&test_context, path, &file), PRUN_OK)) continue;
        CHECK_STATUS(prun_safetensors_read_f32(file, prun_safetensors_at(file, 0), back), PRUN_OK);
        CHECK(back[0] == data[0] && back[1] == data[1]);
        prun_safetensors_close(file);
        CHECK(remove_path(i) == 0);
    }
}

/* A path that ends in a directory, which exists or not. */
static void path_without_a_file_name(void) {
    static const char *const paths[] = {"./", "none/", "none/..", "none/."};
    size_t i;
    for (i = 0; i < sizeof paths / sizeof *paths; i++) {
        CHECK_STATUS(write_table(paths[i], "1"), PRUN_ERR_WRITE);
        if (!CHECK(message_names("has no file name") || message_names("is a folder") ||
                   message_names("may not be written")))
            printf("    \"%s\": %s\n", paths[i], prun_message(&test_context));
    }
}

/* A name that no system accepts: nothing is written, and the call fails. */
static void name_that_is_too_long(void) {
    static char path[20000];
    memset(path, 'n', sizeof path - 1);
    CHECK_STATUS(write_table(path, "1"), PRUN_ERR_WRITE);
    CHECK(read_table(path) == -1 && test_context.status == PRUN_ERR_OPEN);
}

#ifdef _WIN32

static void folder_in_any_script(void) {
    static const wchar_t wide[] = L"\x5c0f\x6a39";
    const char *path = "\xe5\xb0\x8f\xe6\xa8\xb9";
    char inside[64];
    CHECK(CreateDirectoryW(wide, NULL));
    CHECK_STATUS(write_table(path, "1"), PRUN_ERR_WRITE);
    CHECK(message_names("is a folder"));
    CHECK(read_table(path) == -1 && message_names("is a folder; name a file in it"));
    snprintf(inside, sizeof inside, "%s\\%s", path, names[3]);
    CHECK_STATUS(write_table(inside, "3"), PRUN_OK);
    CHECK(read_table(inside) == 3);
    CHECK(_wremove(L"\x5c0f\x6a39\\\x526a\x679d.csv") == 0 && RemoveDirectoryW(wide));
}

/* A name that is not UTF-8 is in the code page of the system. */
static void name_in_the_code_page(void) {
    const char *path = "code\xfcpage.csv";
    FILE *file = fopen(path, "wb");
    if (!CHECK(file != NULL)) return;
    fputs("a\n4\n", file);
    CHECK(fclose(file) == 0 && read_table(path) == 4);
    CHECK_STATUS(write_table(path, "5"), PRUN_OK);
    CHECK(read_table(path) == 5 && remove(path) == 0);
}

static int is_temporary_of(const char *name, int destroy) {
    char pattern[64];
    WIN32_FIND_DATAA found;
    HANDLE search;
    int count = 0;
    snprintf(pattern, sizeof pattern, ".%s.*.tmp", name);
    search = FindFirstFileA(pattern, &found);
    if (search == INVALID_HANDLE_VALUE) return 0;
    do {
        count++;
        if (destroy) remove(found.cFileName);
    } while (FindNextFileA(search, &found));
    FindClose(search);
    return count;
}

static void file_that_may_not_be_written(void) {
    CHECK_STATUS(write_table("readonly.csv", "6"), PRUN_OK);
    CHECK(_chmod("readonly.csv", _S_IREAD) == 0);
    CHECK_STATUS(write_table("readonly.csv", "7"), PRUN_ERR_WRITE);
    CHECK(message_names("may not be written"));
    CHECK(read_table("readonly.csv") == 6 && is_temporary_of("readonly.csv", 0) == 0);
    CHECK(_chmod("readonly.csv", _S_IREAD | _S_IWRITE) == 0 && remove("readonly.csv") == 0);
}

/* Another program has the old file open and does not share it: the file is kept, and nothing else
   is left. */
static void file_that_is_open(void) {
    HANDLE held;
    CHECK_STATUS(write_table("open.csv", "8"), PRUN_OK);
    held = CreateFileA("open.csv", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                       OPEN_EXISTING, 0, NULL);
    if (!CHECK(held != INVALID_HANDLE_VALUE)) return;
    CHECK_STATUS(write_table("open.csv", "9"), PRUN_ERR_WRITE);
    CHECK(message_names("cannot be replaced"));
    CHECK(read_table("open.csv") == 8 && is_temporary_of("open.csv", 0) == 0);
    CloseHandle(held);
    CHECK_STATUS(write_table("open.csv", "9"), PRUN_OK);
    CHECK(read_table("open.csv") == 9 && remove("open.csv") == 0);
}

static const char *program;

/* The child: replaces the file until it is killed; with "half" it ends itself in the middle of a
   file. */
static int child_main(const char *what) {
    const int half = strcmp(what, "half") == 0;
    int i;
    for (i = 0;; i++) {
        prun_output *output;
        int k;
        if (prun_output_open(NULL, "killed.csv", &output) != PRUN_OK) return 1;
        fprintf(prun_output_stream(output), "a\n");
        for (k = 0; k < 20000; k++) {
            fprintf(prun_output_stream(output), "%d\n", i);
            if (k == 10000 && half) TerminateProcess(GetCurrentProcess(), 9);
        }
        if (prun_output_close(output) != PRUN_OK) return 2;
    }
}

/* The number in all cells, or -1 if the file is incomplete. While the file is being replaced,
   Windows may refuse to open it; a little later it can be opened. */
static double number_of_whole_file(void) {
    prun_table table;
    int64_t i;
    double number = -1;
    prun_status status = prun_table_load_csv(&test_context, "killed.csv", &table);
    for (i = 0; status == PRUN_ERR_OPEN && i < 100; i++) {
        Sleep(10);
        status = prun_table_load_csv(&test_context, "killed.csv", &table);
    }
    if (!CHECK_STATUS(status, PRUN_OK)) return -1;
    if (table.rows == 20000 && table.columns == 1) number = table.values[0];
    for (i = 0; i < table.rows; i++)
        if (table.values[i] != number) number = -1;
    prun_table_free(&table);
    return number;
}

/* Killing the program does not lose the old file, neither while the new one is written nor while it
   replaces the old one. */
static void killed_while_replacing(void) {
    intptr_t child;
    int status = 0, rounds, reads;
    FILE *file = fopen("killed.csv", "wb");
    if (!CHECK(file != NULL)) return;
    for (rounds = 0, fprintf(file, "a\n"); rounds < 20000; rounds++) fprintf(file, "-5\n");
    CHECK(fclose(file) == 0 && number_of_whole_file() == -5);
    child = _spawnl(_P_NOWAIT, program, program, "--child", "half", (char *)NULL);
    if (!CHECK(child != -1)) return;
    CHECK(_cwait(&status, child, 0) == child && status == 9);
    CHECK(number_of_whole_file() == -5 && is_temporary_of("killed.csv", 1) == 1);
    for (rounds = 0; rounds < 10; rounds++) {
        child = _spawnl(_P_NOWAIT, program, program, "--child", "whole", (char *)NULL);
        if (!CHECK(child != -1)) return;
        for (reads = 0; reads < 5 + 2 * rounds; reads++) {
            CHECK(number_of_whole_file() != -1);
            Sleep(20);
        }
        CHECK(TerminateProcess((HANDLE)child, 9));
        CHECK(_cwait(&status, child, 0) == child && status == 9);
        CHECK(number_of_whole_file() != -1);
    }
    CHECK(number_of_whole_file() > 0 && is_temporary_of("killed.csv", 1) <= 10);
    CHECK(remove("killed.csv") == 0);
}
#endif

static const test_case cases[] = {
    TEST_CASE(names_in_any_script),          TEST_CASE(tensors_in_any_script),
    TEST_CASE(path_without_a_file_name),     TEST_CASE(name_that_is_too_long),
#ifdef _WIN32
    TEST_CASE(folder_in_any_script),         TEST_CASE(name_in_the_code_page),
    TEST_CASE(file_that_may_not_be_written), TEST_CASE(file_that_is_open),
    TEST_CASE(killed_while_replacing),
#endif
};

int main(int argc, char **argv) {
#ifdef _WIN32
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--child") == 0) return child_main(argv[2]);
#endif
    return FILES_MAIN("test_paths", cases, argc, argv);
}
