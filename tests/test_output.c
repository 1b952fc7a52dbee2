/* test_output.c - section OUTPUT: which files are replaced and kept, and that nothing is left
   behind, whatever exists at the path. */
#define _DEFAULT_SOURCE 1
#define _DARWIN_C_SOURCE 1
#include "files.h"

#if HAVE_POSIX
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#if defined(__linux__)
#include <sys/mount.h>
#include <sys/sysmacros.h>
#endif
#endif

/* ---- helpers ---- */

/* Writes a text as an output. Returns the status of the last call. */
static prun_status save_text(const char *path, const char *text) {
    prun_output *output = NULL;
    prun_status status = prun_output_open(&test_context, path, &output);
    if (status != PRUN_OK) {
        CHECK(output == NULL);
        return status;
    }
    fputs(text, prun_output_stream(output));
    return prun_output_close(output);
}

static int holds_text(const char *path, const char *text) {
    char got[200] = "";
    FILE *file = fopen(path, "rb");
    size_t n = file != NULL ? fread(got, 1, sizeof got - 1, file) : 0;
    if (file != NULL) fclose(file);
    return file != NULL && n == strlen(text) && memcmp(got, text, n) == 0;
}

/* The call must fail and say why, and leave nothing behind. */
static void save_fails(const char *path, const char *message) {
    CHECK_STATUS(save_text(path, "new"), PRUN_ERR_WRITE);
    if (!CHECK(message_names(message))) {
        printf("  got \"%s\", not \"%s\"\n", prun_message(&test_context), message);
    }
    CHECK(files_named(".tmp", 0) == 0);
}

/* Empties the directory and ends a test. */
static void end_clean(void) {
    files_named("", 1);
    end();
}

static void bad_paths(void) {
    prun_output *output = NULL;
    begin();
    CHECK_STATUS(prun_output_open(&test_context, NULL, &output), PRUN_ERR_ARGUMENT);
    CHECK_STATUS(prun_output_open(&test_context, "", &output), PRUN_ERR_ARGUMENT);
    CHECK_STATUS_IN(NULL, prun_output_open(NULL, in_directory("none/x"), &output), PRUN_ERR_WRITE);
    CHECK(prun_output_close(NULL) == PRUN_ERR_ARGUMENT);
    prun_output_discard(NULL);
    save_fails(in_directory("none/x"), "none/x: no file can be created in folder");
    save_fails(in_directory("."), "is a folder");
    save_fails(in_directory(""), "is a folder");
    save_fails(in_directory("none/"), "no file name");
    end_clean();
}

static void whole_or_not_at_all(void) {
    const char *path = in_directory("t");
    prun_output *output = NULL;
    int round;
    begin();
    for (round = 0; round < 2; round++) { /* a new file, then one that is replaced */
        if (!CHECK_STATUS(prun_output_open(&test_context, path, &output), PRUN_OK)) return;
        CHECK(prun_output_temporary(output) != NULL);
        fputs("lost", prun_output_stream(output));
        CHECK(round ? holds_text(path, "old") : files_named("t", 0) == files_named(".tmp", 0));
        CHECK(HAVE_POSIX == 0 || files_named(".tmp", 0) == 1);
        prun_output_discard(output);
        CHECK(files_named(".tmp", 0) == 0);
        CHECK_STATUS(save_text(path, round ? "new" : "old"), PRUN_OK);
        CHECK(holds_text(path, round ? "new" : "old") && files_named(".tmp", 0) == 0);
    }
    end_clean();
}

#if HAVE_POSIX

static mode_t mode_of(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_mode & (mode_t)~S_IFMT : 0;
}

static mode_t kind_of(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

/* Runs checks in a separate process, as an unprivileged user, in the tests' directory. */
static void as_unprivileged_user(void (*body)(void)) {
    int status = -1;
    const pid_t child = fork();
    if (child == 0) {
        int failed = chdir(directory) != 0;
        if (geteuid() == 0) {
            failed |= setgroups(0, NULL) != 0 || setgid(2001) != 0 || setuid(2000) != 0;
        }
        test_failures = 0;
        if (!failed) body();
        fflush(stdout);
        _exit(failed || test_failures);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void names_of_temporary_files(void) {
    char name[256], start[400], expected[64];
    prun_output *output[2];
    const char *temporary, *base;
    int i;
    begin();
    snprintf(expected, sizeof expected, ".%ld-", (long)getpid());
    for (i = 1; i < 256; i += i < 90 ? 30 : i < 100 || i > 250 ? 1 : 17) {
        memset(name, 'n', sizeof name);
        name[i] = '\0';
        if (i > 96) memcpy(name + 95, "\xc3\xa4", 2); /* must not be cut in two */
        if (!CHECK_STATUS(prun_output_open(&test_context, in_directory(name), &output[0]),
                          PRUN_OK) ||
            !CHECK_STATUS(prun_output_open(&test_context, in_directory(name), &output[1]), PRUN_OK))
            return;
        temporary = prun_output_temporary(output[0]);
        base = strrchr(temporary, '/') + 1;
        snprintf(start, sizeof start, ".%.*s%s", i < 97 ? i : 95, name, expected);
        CHECK(strncmp(base, start, strlen(start)) == 0 && strlen(base) < 143);
        CHECK(strcmp(base + strlen(base) - 4, ".tmp") == 0);
        CHECK(strcmp(temporary, prun_output_temporary(output[1])) != 0);
        CHECK_STATUS(prun_output_close(output[0]), PRUN_OK);
        CHECK_STATUS(prun_output_close(output[1]), PRUN_OK);
        CHECK(remove(in_directory(name)) == 0);
    }
    end_clean();
}

static void modes(void) {
    static const mode_t masks[] = {022, 077, 0, 027};
    static const mode_t kept[] = {0600, 0644, 0666, 0777, 0640, 0755, 0200, 06755, 01644};
    const char *path = in_directory("t");
    size_t i, j;
    begin();
    for (i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        const mode_t mask = umask(masks[i]);
        CHECK_STATUS(save_text(path, "new"), PRUN_OK);
        CHECK(mode_of(path) == (mode_t)(0666 & ~masks[i]));
        for (j = 0; j < sizeof kept / sizeof kept[0]; j++) {
            CHECK(chmod(path, kept[j]) == 0);
            CHECK_STATUS(save_text(path, "newer"), PRUN_OK);
            CHECK(mode_of(path) == kept[j]);
        }
        CHECK(remove(path) == 0);
        umask(mask);
        CHECK(mask == umask(mask)); /* the library has not changed it */
    }
    end_clean();
}

static void save_the_file_of_another(void) {
    struct stat status;
    CHECK_STATUS(save_text("open/t", "mine"), PRUN_OK);
    CHECK(stat("open/t", &status) == 0 && status.st_uid == 2000 && status.st_gid == 2001);
    CHECK((status.st_mode & 07777) == 0666); /* no set-id bits, no new permissions */
}

static void owners(void) {
    const char *path = in_directory("open/t");
    struct stat status;
    if (geteuid() != 0) {
        SKIP("needs root");
        return;
    }
    begin();
    CHECK(mkdir(in_directory("open"), 0777) == 0 && chmod(in_directory("open"), 0777) == 0);
    CHECK_STATUS(save_text(path, "old"), PRUN_OK);
    CHECK(chown(path, 3000, 3001) == 0 && chmod(path, 06666) == 0);
    CHECK_STATUS(save_text(path, "new"), PRUN_OK);
    CHECK(stat(path, &status) == 0 && status.st_uid == 3000 && status.st_gid == 3001);
    CHECK((status.st_mode & 07777) == 06666 && holds_text(path, "new"));
    CHECK(chmod(path, 06676) == 0 && chmod(directory, 0777) == 0);
    as_unprivileged_user(save_the_file_of_another);
    CHECK(chmod(directory, 0700) == 0);
    CHECK(holds_text(path, "mine") && remove(path) == 0 && rmdir(in_directory("open")) == 0);
    end_clean();
}

static void links(void) {
    static const struct {
        const char *to, *link;
    } made[] = {{"target", "one"},
                {"one", "two"},
                {"../target", "folder/up"},
                {"folder", "way"},
                {"./folder/../two", "three"},
                {"missing", "dangling"},
                {"loop", "loop"},
                {"none/x", "nowhere"},
                {"folder/", "slash"}};
    static const char *const through[] = {"one", "two", "folder/up", "way/up", "three"};
    char absolute[800], longest[300];
    size_t i;
    begin();
    CHECK(mkdir(in_directory("folder"), 0755) == 0);
    for (i = 0; i < sizeof made / sizeof made[0]; i++) {
        CHECK(symlink(made[i].to, in_directory(made[i].link)) == 0);
    }
    CHECK(realpath(in_directory("."), absolute) != NULL);
    strcat(absolute, "/target");
    CHECK(symlink(absolute, in_directory("absolute")) == 0);
    for (i = 0; i < 6; i++) {
        const char *path = in_directory(i < 5 ? through[i] : "absolute");
        CHECK_STATUS(save_text(in_directory("target"), "old"), PRUN_OK);
        CHECK(chmod(in_directory("target"), 0640) == 0);
        CHECK_STATUS(save_text(path, "new"), PRUN_OK);
        CHECK(kind_of(path) == S_IFLNK && holds_text(in_directory("target"), "new"));
        CHECK(kind_of(in_directory("target")) == S_IFREG);
        CHECK(mode_of(in_directory("target")) == 0640);
    }
    CHECK_STATUS(save_text(in_directory("dangling"), "made"), PRUN_OK);
    CHECK(kind_of(in_directory("dangling")) == S_IFLNK);
    CHECK(holds_text(in_directory("missing"), "made"));
    save_fails(in_directory("loop"), "loop: too many links, probably a cycle");
    save_fails(in_directory("nowhere"), "no file can be created in folder");
    save_fails(in_directory("slash"), "is a folder");
    save_fails(in_directory("way"), "is a folder");
    /* 39 links to the file are followed, 45 are not */
    for (i = 0; i < 45; i++) {
        char name[20];
        snprintf(longest, sizeof longest, i ? "chain%d" : "target", (int)i - 1);
        snprintf(name, sizeof name, "chain%d", (int)i);
        CHECK(symlink(longest, in_directory(name)) == 0);
    }
    CHECK_STATUS(save_text(in_directory("chain38"), "chain"), PRUN_OK);
    CHECK(holds_text(in_directory("target"), "chain"));
    save_fails(in_directory("chain44"), "probably a cycle");
    files_named("chain", 1);
    for (i = 0; i < sizeof made / sizeof made[0]; i++) {
        CHECK(remove(in_directory(made[i].link)) == 0);
    }
    CHECK(remove(in_directory("absolute")) == 0 && remove(in_directory("missing")) == 0);
    CHECK(remove(in_directory("target")) == 0 && rmdir(in_directory("folder")) == 0);
    end_clean();
}

/* Other hard links keep the old contents. */
static void hard_links(void) {
    begin();
    CHECK_STATUS(save_text(in_directory("t"), "old"), PRUN_OK);
    CHECK(link(in_directory("t"), in_directory("other")) == 0);
    CHECK_STATUS(save_text(in_directory("t"), "new"), PRUN_OK);
    CHECK(holds_text(in_directory("t"), "new") && holds_text(in_directory("other"), "old"));
    end_clean();
}

/* Links that other users have made in a directory like /tmp. */
static void links_of_others(void) {
    static const struct {
        mode_t folder;
        uid_t folder_owner, link_owner;
        int allowed;
    } ways[] = {{01777, 0, 3000, 0}, {01777, 3001, 3000, 0}, {01777, 3000, 3000, 1},
                {01777, 3000, 0, 1}, {0777, 0, 3000, 1},     {01755, 0, 3000, 1}};
    size_t i;
    if (geteuid() != 0) {
        SKIP("needs root");
        return;
    }
    begin();
    CHECK_STATUS(save_text(in_directory("target"), "old"), PRUN_OK);
    CHECK(mkdir(in_directory("sticky"), 0700) == 0);
    CHECK(symlink("../target", in_directory("sticky/link")) == 0);
    CHECK(symlink("sticky/link", in_directory("outside")) == 0);
    for (i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        CHECK(chown(in_directory("sticky"), ways[i].folder_owner, 0) == 0);
        CHECK(chmod(in_directory("sticky"), ways[i].folder) == 0);
        CHECK(lchown(in_directory("sticky/link"), ways[i].link_owner, 0) == 0);
        if (ways[i].allowed) {
            CHECK_STATUS(save_text(in_directory("sticky/link"), "new"), PRUN_OK);
            CHECK(holds_text(in_directory("target"), "new"));
            CHECK_STATUS(save_text(in_directory("outside"), "old"), PRUN_OK);
        } else {
            save_fails(in_directory("sticky/link"), "sticky/link: a link owned by another user");
            save_fails(in_directory("outside"), "outside: a link owned by another user");
        }
        CHECK(holds_text(in_directory("target"), "old"));
    }
    CHECK(remove(in_directory("sticky/link")) == 0 && rmdir(in_directory("sticky")) == 0);
    end_clean();
}

/* A pipe gets the bytes and stays a pipe; so does a link to it. */
static void pipes(void) {
    static const char *const names[2] = {"pipe", "link"};
    int i;
    begin();
    CHECK(mkfifo(in_directory("pipe"), 0600) == 0);
    CHECK(symlink("pipe", in_directory("link")) == 0);
    for (i = 0; i < 2; i++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0) _exit(!holds_text(in_directory("pipe"), "through"));
        CHECK_STATUS(save_text(in_directory(names[i]), "through"), PRUN_OK);
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        CHECK(kind_of(in_directory("pipe")) == S_IFIFO);
        CHECK(kind_of(in_directory("link")) == S_IFLNK);
    }
    end_clean();
}

static void devices(void) {
#if defined(__linux__)
    struct stat status;
    if (geteuid() != 0 || mknod(in_directory("null"), S_IFCHR | 0666, makedev(1, 3)) != 0 ||
        mknod(in_directory("full"), S_IFCHR | 0666, makedev(1, 7)) != 0) {
        SKIP("needs root, and devices");
        return;
    }
    begin();
    CHECK_STATUS(save_text(in_directory("null"), "gone"), PRUN_OK);
    CHECK(stat(in_directory("null"), &status) == 0 && S_ISCHR(status.st_mode));
    CHECK(status.st_rdev == makedev(1, 3));
    save_fails(in_directory("full"), "full: cannot be written: No space left on device");
    CHECK(kind_of(in_directory("full")) == S_IFCHR);
    end_clean();
#else
    SKIP("needs the devices of Linux");
#endif
}

/* Open descriptors, such as standard output, are written in place. */
static void descriptors(void) {
#if defined(__linux__)
    char path[40];
    struct stat before, after;
    const int file = open(in_directory("t"), O_RDWR | O_CREAT, 0600);
    begin();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (!CHECK(file >= 0 && fstat(file, &before) == 0)) return;
    CHECK_STATUS(save_text(path, "in place"), PRUN_OK);
    CHECK(stat(in_directory("t"), &after) == 0 && after.st_ino == before.st_ino);
    CHECK(holds_text(in_directory("t"), "in place"));
    CHECK(remove(in_directory("t")) == 0);
    CHECK_STATUS(save_text(path, "removed, but open"), PRUN_OK);
    CHECK(fstat(file, &after) == 0 && after.st_size == 17 && files_named("t", 0) == 0);
    close(file);
    end_clean();
#else
    SKIP("needs /proc");
#endif
}

static void save_where_nothing_may_be_written(void) {
    save_fails("shut/t", "shut/t: no file can be created in folder");
    CHECK(message_names("shut: Permission denied") && holds_text("shut/t", "old"));
    save_fails("shut/new", "folder");
    save_fails("closed/t", "closed/t: ");
    save_fails("mine", "mine: may not be written: Permission denied");
    CHECK(holds_text("mine", "old"));
    save_fails("link", "link: may not be written: Permission denied");
}

static void what_may_not_be_written(void) {
    begin();
    CHECK(mkdir(in_directory("shut"), 0777) == 0 && mkdir(in_directory("closed"), 0777) == 0);
    CHECK_STATUS(save_text(in_directory("shut/t"), "old"), PRUN_OK);
    CHECK_STATUS(save_text(in_directory("mine"), "old"), PRUN_OK);
    CHECK(symlink("mine", in_directory("link")) == 0);
    CHECK(chmod(in_directory("shut/t"), 0666) == 0 && chmod(in_directory("shut"), 0555) == 0);
    CHECK(chmod(in_directory("mine"), 0444) == 0 && chmod(in_directory("closed"), 0) == 0);
    CHECK(chmod(directory, 0777) == 0);
    as_unprivileged_user(save_where_nothing_may_be_written);
    CHECK(chmod(directory, 0700) == 0 && chmod(in_directory("shut"), 0700) == 0);
    CHECK(remove(in_directory("shut/t")) == 0 && rmdir(in_directory("shut")) == 0);
    CHECK(remove(in_directory("mine")) == 0 && rmdir(in_directory("closed")) == 0);
    end_clean();
}

static void another_working_directory(void) {
    prun_output *output = NULL;
    const int here = open(".", O_RDONLY);
    begin();
    CHECK(chdir(directory) == 0);
    CHECK_STATUS(save_text("t", "old"), PRUN_OK);
    CHECK_STATUS(prun_output_open(&test_context, "t", &output), PRUN_OK);
    CHECK(chdir("/") == 0);
    if (output != NULL) {
        fputs("new", prun_output_stream(output));
        CHECK_STATUS(prun_output_close(output), PRUN_OK);
    }
    CHECK(fchdir(here) == 0 && holds_text(in_directory("t"), "new"));
    close(here);
    end_clean();
}

/* A message says what is wrong, however long and strange the path. */
static void long_paths(void) {
    char path[3000];
    size_t at = 0;
    begin();
    while (at + 30 < sizeof path) at += (size_t)sprintf(path + at, "none\x1b[31m/");
    path[at] = 't';
    path[at + 1] = '\0';
    save_fails(path, ": No such file or directory");
    CHECK(strlen(prun_message(&test_context)) < sizeof test_context.message);
    CHECK(message_names("none\\x1b[31m/none") && message_names("..."));
    CHECK(strchr(prun_message(&test_context), '\x1b') == NULL);
    end_clean();
}

/* The disk may be full at any moment: the old file is kept, and nothing else is left. */
static void full_disks(void) {
    static float many[60000];
    char name[20] = "t";
    prun_tensor tensor;
    struct rlimit limit, small;
    rlim_t most;
    int mounted = 0, failed = 0, written = 0;
    begin();
    memset(&tensor, 0, sizeof tensor);
    tensor.name = "a";
    tensor.data = many;
    tensor.rank = 1;
    tensor.shape[0] = 60000;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_STATUS(save_text(in_directory(name), "old"), PRUN_OK);
    for (most = 0; most < 260000; most += most < 9000 ? 811 : 16001) {
        prun_status status;
        small = limit;
        small.rlim_cur = most;
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        status =
            prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0, in_directory(name));
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        written += status == PRUN_OK;
        failed += status == PRUN_ERR_WRITE;
        CHECK(files_named(".tmp", 0) == 0);
        if (status != PRUN_OK) CHECK(holds_text(in_directory(name), "old") && message_names("t: "));
    }
    CHECK(failed > 20 && written > 0);
    signal(SIGXFSZ, SIG_DFL);
#if defined(__linux__)
    CHECK(mkdir(in_directory("disk"), 0700) == 0);
    mounted = geteuid() == 0 && mount("tmpfs", in_directory("disk"), "tmpfs", 0, "size=65536") == 0;
    if (mounted) {
        CHECK_STATUS(save_text(in_directory("disk/t"), "old"), PRUN_OK);
        CHECK_STATUS(prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0,
                                                   in_directory("disk/t")),
                     PRUN_ERR_WRITE);
        CHECK(holds_text(in_directory("disk/t"), "old"));
        CHECK_STATUS(save_text(in_directory("disk/t"), "new"), PRUN_OK); /* there is room again */
        CHECK(umount(in_directory("disk")) == 0);
    }
    CHECK(rmdir(in_directory("disk")) == 0);
#endif
    if (!mounted) printf("note full_disks: no file system could be mounted, only limits tested\n");
    end_clean();
}

/* ---- several writers ---- */

enum { ROUNDS = 1000, FLOATS = 700 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Saves files of one repeated value each, `rounds` times or for two seconds. */
static int save_many(float first, int rounds) {
    static float values[FLOATS];
    const double start = seconds();
    prun_tensor tensor;
    int i, j;
    memset(&tensor, 0, sizeof tensor);
    tensor.name = "a";
    tensor.data = values;
    tensor.rank = 1;
    for (i = 0; i < rounds && seconds() - start < 2; i++) {
        tensor.shape[0] = FLOATS - i % 50; /* lengths differ */
        for (j = 0; j < FLOATS; j++) values[j] = first + (float)i;
        if (prun_tensors_save_safetensors(&test_context, &tensor, 1, NULL, 0,
                                          in_directory("t.safetensors")) != PRUN_OK) {
            printf("  round %d: %s\n", i, prun_message(&test_context));
            return 1;
        }
    }
    return 0;
}

static void several_writers(void) {
    pid_t children[2];
    int i, running = 2, reads = 0, status;
    begin();
    save_many(0.5f, 1);
    for (i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) _exit(save_many((float)(i + 1) * 1e5f, ROUNDS));
        CHECK(children[i] > 0);
    }
    while (running > 0) {
        float values[FLOATS];
        prun_safetensors *file;
        int j;
        if (CHECK_STATUS(open_safetensors(&file), PRUN_OK)) {
            const prun_safetensors_entry *e = prun_safetensors_at(file, 0);
            CHECK_STATUS(prun_safetensors_read_f32(file, e, values), PRUN_OK);
            for (j = 1; j < e->count; j++) {
                if (!CHECK(values[j] == values[0])) break;
            }
            prun_safetensors_close(file);
            reads++;
        }
        if (waitpid(-1, &status, WNOHANG) > 0) {
            CHECK(status == 0);
            running--;
        }
    }
    CHECK(reads > 10 && files_named(".tmp", 0) == 0);
    end_clean();
}

/* ---- out of memory ---- */

static int64_t allocations_left;

static void *failing_allocate(void *user, size_t size) {
    return allocations_left-- > 0 ? counting_allocate(user, size) : NULL;
}

static void memory_that_runs_out(void) {
    static const char *const names[2] = {"t", "link"};
    int i, n;
    begin();
    test_context.allocate = failing_allocate;
    allocations_left = 100;
    CHECK_STATUS(save_text(in_directory("t"), "old"), PRUN_OK);
    CHECK(symlink("t", in_directory("link")) == 0);
    for (n = 0; n < 2; n++) {
        prun_status status = PRUN_ERR_MEMORY;
        for (i = 0; i < 50 && status != PRUN_OK; i++) {
            allocations_left = i;
            status = save_text(in_directory(names[n]), "new");
            CHECK(status == PRUN_OK || status == PRUN_ERR_MEMORY);
            CHECK(holds_text(in_directory("t"), status == PRUN_OK || n ? "new" : "old"));
            CHECK(live_blocks == 0 && files_named(".tmp", 0) == 0);
        }
        CHECK(i > 5 && i < 50);
    }
    end_clean();
}

#endif

static const test_case cases[] = {
    TEST_CASE(bad_paths),
    TEST_CASE(whole_or_not_at_all),
#if HAVE_POSIX
    TEST_CASE(names_of_temporary_files),
    TEST_CASE(modes),
    TEST_CASE(owners),
    TEST_CASE(links),
    TEST_CASE(hard_links),
    TEST_CASE(links_of_others),
    TEST_CASE(pipes),
    TEST_CASE(devices),
    TEST_CASE(descriptors),
    TEST_CASE(what_may_not_be_written),
    TEST_CASE(another_working_directory),
    TEST_CASE(long_paths),
    TEST_CASE(full_disks),
    TEST_CASE(several_writers),
    TEST_CASE(memory_that_runs_out),
#endif
};

int main(int argc, char **argv) { return FILES_MAIN("test_output", cases, argc, argv); }
