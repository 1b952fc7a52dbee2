/* test_evaluate.c - the evaluate program: its output, tables that it rejects, files that it
   writes. */
#define main evaluate_main
#include "../examples/studies/evaluate.c"
#undef main

#include "grids.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define HAVE_FORK 1
#endif

/* The test program runs itself as evaluate: a forked child cannot use OpenMP if its parent has used
   it. */
static const char as_evaluate[] = "--as-evaluate";
static char *own_path;

/* ---- CSV ---- */

static const char csv_path[] = "build/test_evaluate.csv";

/* ---- the program ---- */

/* Runs evaluate with the blank-separated arguments of `line`. Returns the exit status, or -1 for a
   crash. Standard output and messages are stored in two texts. */
static int run_evaluate(const char *line, ex_text *out, ex_text *messages) {
#ifdef HAVE_FORK
    static const char *const paths[2] = {"build/test_evaluate.out", "build/test_evaluate.err"};
    ex_text *texts[2];
    char words[1000], *argv[40];
    int argc = 0, status = -1, i;
    pid_t child;
    texts[0] = out;
    texts[1] = messages;
    snprintf(words, sizeof words, "%s %s", as_evaluate, line);
    argv[0] = own_path;
    argv[++argc] = strtok(words, " ");
    while (argv[argc] != NULL && argc < 38) {
        argv[++argc] = strtok(NULL, " ");
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (freopen(paths[0], "w", stdout) == NULL || freopen(paths[1], "w", stderr) == NULL)
            _exit(99);
        execv(own_path, argv);
        _exit(98);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    for (i = 0; i < 2; i++) {
        FILE *file = fopen(paths[i], "r");
        char piece[512];
        texts[i]->length = 0;
        ex_text_add(texts[i], "%s", "");
        while (file != NULL && fgets(piece, sizeof piece, file) != NULL) {
            ex_text_add(texts[i], "%s", piece);
        }
        if (file != NULL) fclose(file);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
#else
    (void)line;
    (void)out;
    (void)messages;
    return -2;
#endif
}

#ifdef HAVE_FORK
#define NEEDS_FORK ((void)0)
#else
#define NEEDS_FORK \
    do { \
        SKIP("needs fork"); \
        return; \
    } while (0)
#endif

static ex_text out, messages;

static void check_run(const char *line, int status, const char *message) {
    int got = run_evaluate(line, &out, &messages);
    if (!CHECK(got == status) ||
        !CHECK(strstr(messages.data != NULL ? messages.data : "", message) != NULL)) {
        printf("    evaluate %s: status %d, messages: %s\n", line, got, messages.data);
    }
}

/* The number after "key": in the object of a measure; NaN for null, -99 if it is missing. */
static double json_value(const char *name, const char *key) {
    char text[100];
    const char *at;
    snprintf(text, sizeof text, "\"%s\":{\"tau_a\"", name);
    at = out.data != NULL ? strstr(out.data, text) : NULL;
    snprintf(text, sizeof text, "\"%s\":", key);
    at = at != NULL ? strstr(at, text) : NULL;
    if (at == NULL) return -99;
    at += strlen(text);
    return strncmp(at, "null", 4) == 0 ? NAN : strtod(at, NULL);
}

static int write_set_b(void) {
    ex_text text = {NULL, 0, 0};
    int i, fine;
    ex_text_add(&text, "width,aug,seed,mu,mu2,train_error,test_error,note\n");
    for (i = 0; i < 12; i++) {
        ex_text_add(&text, "%g,%s,%g,%g,%g,0.001,%.17g,ok\n", width_b[i],
                    aug_b[i] > 0 ? "on" : "off", seed_b[i], mu_b[i], mu2_b[i], gap_b[i] + 0.001);
    }
    fine = write_file(csv_path, text.data, text.length);
    ex_text_free(&text);
    return fine;
}

static void program_json(void) {
    NEEDS_FORK;
    if (!write_set_b()) return;
    check_run("build/test_evaluate.csv --hyper width,aug --seed-column seed --json --folds 4 "
              "--resamples 100",
              0, "");
    CHECK(out.data[0] == '{' && strstr(out.data, "nan") == NULL);
    CHECK_CLOSE(json_value("mu", "tau_a"), 0.6363636363636364, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "tau_b"), 0.6363636363636364, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "p"), 0.003181646992410881, 0, 1e-12);
    CHECK_CLOSE(json_value("mu", "width"), 0.16666666666666669, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "aug"), 1, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "Psi"), 0.5833333333333334, 1e-15, 0);
    CHECK_CLOSE(json_value("mu", "K"), 0.04540024223423999, 0, 1e-12);
    CHECK_CLOSE(json_value("mu", "r2"), 0.686791340680313, 0, 1e-10);
    CHECK_CLOSE(json_value("mu", "adj_r2"), 0.6554704747483443, 0, 1e-10);
    CHECK(isnan(json_value("mu", "sign_error_mean")));
    CHECK(isnan(json_value("mu", "tau_given_params")));
    CHECK(json_value("1 / width", "tau_a") > 0.3);
    CHECK(json_value("note", "tau_a") == -99 && json_value("train_error", "tau_a") == -99);
    check_run("build/test_evaluate.csv --hyper width,aug --seed-column seed --json --seeds pooled "
              "--measures mu2 --resamples 0",
              0, "");
    CHECK(json_value("mu", "tau_a") == -99);
    check_run("build/test_evaluate.csv --hyper width,aug --target mu2 --measures mu --json", 0, "");
    CHECK_CLOSE(json_value("mu", "K"), 0.14505233104011478, 0, 1e-12);
}

/* The gaps 0.3 - 0.2 and 0.2 - 0.1 differ in binary, but must tie after rounding. */
static void program_rounds_the_gap(void) {
    NEEDS_FORK;
    CHECK(0.3 - 0.2 != 0.2 - 0.1);
    CHECK(write_file(csv_path, "m,train_error,test_error\n1,.2,.3\n2,.1,.2\n3,.1,.4\n", 48));
    check_run("build/test_evaluate.csv --json --resamples 0", 0, "");
    CHECK_CLOSE(json_value("m", "tau_a"), 2.0 / 3, 1e-15, 0);
}

static void program_tables_of_maddox(void) {
    NEEDS_FORK;
    check_run("tests/tables/maddox_cnn_cifar100.csv --target test_loss --measures width,n_eff "
              "--json",
              0, "");
    CHECK_CLOSE(json_value("width", "tau_a"), -0.4, 1e-15, 0);
    CHECK_CLOSE(json_value("n_eff", "tau_a"), 0.2, 1e-15, 0);
    check_run("tests/tables/maddox_resnet18_cifar100.csv --target test_loss "
              "--measures width,n_eff --json",
              0, "");
    CHECK_CLOSE(json_value("width", "tau_b"), -0.655903, 5e-7, 0);
    CHECK_CLOSE(json_value("n_eff", "tau_b"), 0.552073, 5e-7, 0);
}

static void program_outputs(void) {
    prun_table t;
    const double *v = NULL;
    FILE *file;
    NEEDS_FORK;
    if (!write_set_b()) return;
    check_run("build/test_evaluate.csv --hyper width,aug --seed-column seed --fit both=mu+mu2 "
              "--resamples 50 --csv build/test_evaluate_out.csv --svg build/test_evaluate_svg",
              0, "");
    CHECK(strstr(out.data, "Table 1") && strstr(out.data, "Table 2") &&
          strstr(out.data, "Table 3") && strstr(out.data, "Table 4"));
    CHECK(strstr(out.data, "nan") == NULL && strstr(out.data, "cross-fitted") != NULL);
    memset(&t, 0, sizeof t);
    CHECK_STATUS(prun_table_load_csv(&test_context, "build/test_evaluate_out.csv", &t), PRUN_OK);
    CHECK(t.rows == 4); /* both, both_crossfitted, both_best, 1 / width */
    CHECK_STATUS(prun_table_numbers(&test_context, &t, "tau_a", &v), PRUN_OK);
    CHECK(v != NULL && v[0] > v[1] - 0.2 && fabs(v[2] - 0.6363636363636364) < 1e-15);
    prun_table_free(&t);
    file = fopen("build/test_evaluate_svg/psi.svg", "r");
    CHECK(file != NULL);
    if (file != NULL) fclose(file);
    check_run("build/test_evaluate.csv --csv build/no/such/directory.csv", 1, "directory.csv");
    check_run("--help", 0, "");
    CHECK(strstr(out.data, "--hyper") != NULL && strstr(out.data, "--fit") != NULL);
}

/* Table, options, what the message must contain. All runs end with status 2. */
static void program_bad_input(void) {
    static const char *const cases[][3] = {
        {"", "", "line 1, column 1: the table is empty"},
        {"m,gap\n", "", "line 2, column 1: 0 models"},
        {"m,gap\n1,2\n", "", "line 2, column 1: 1 model,"},
        {"m,gap\n1,2\n3\n", "", "line 3, column 2: 1 fields"},
        {"m,gap\n1,2,3\n3,4\n", "", "line 2, column 3: 3 fields"},
        {"m;gap\n0,1;2\n0,2;3\n", "", "column"},
        {"m,gap\n\"0,1\",1\n\"0,2\",2\n", "--measures m",
         "line 2, column 1 (m): \"0,1\" is not a number (use a decimal point"},
        {"m,gap\n1,1\n,2\n3,3\n", "", "line 3, column 1 (m): missing value"},
        {"m,gap\n1,1\nNaN,2\n3,3\n", "", "line 3, column 1 (m): \"NaN\" missing value"},
        {"m,gap\r\n1,1\r\nabc,2\r\n", "", "line 3, column 1 (m): \"abc\" is not a number"},
        {"m,train_error,test_error\n1,.1,.2\n2,inf,.3\n", "",
         "line 3, column 2 (train_error): \"inf\" is not finite"},
        {"m,gap\n-nan(ind),1\n2,2\n", "", "line 2, column 1 (m): \"-nan(ind)\" missing value"},
        {"m,b,gap\n1,inf,1\n2,1,3\n3,2,2\n", "--fit f=m+b", "column 2 (b) has infinite values"},
        {"m,gap\n1,1\n2,2\n", "--measures m,m", "two measures are called m"},
        {"x_seconds,test_loss,gap\n1,3,1\n2,4,2\n", "",
         "not measures: times: x_seconds; losses and errors: test_loss"},
        {"sep=;\nm;gap\n1;2\nx;3\n", "", "line 4, column 1 (m): \"x\" is not a number"},
        {"m\x1b[2J,gap\nx,1\n2,2\n", "", "(m\\x1b[2J): \"x\" is not a number"},
        {"width,m,gap\n1,1,5\n2,2,6\n", "--hyper widht",
         "no column named widht; did you mean width?\n       columns: width, m, gap\n"},
        {"a,gap\n1,5\n2,6\n", "--measures Gap", "no column named Gap; did you mean gap?"},
        {"m,gap\n1,1e999\n2,2\n", "", "line 2, column 2 (gap): \"1e999\" is not finite"},
        {"m,gap\n7,1\n7,2\n7,3\n", "", "lines 2 to 4, column 1 (m): constant"},
        {"m,gap\n1,5\n2,5\n", "", "column 2 (gap): the target is 5 in every model"},
        {"m,gap\n1,5\n2,6\n", "--measures m,x", "no column named x"},
        {"m,gap\n1,5\n2,6\n", "--hyper q", "no column named q"},
        {"m,gap\n1,5\n2,6\n", "--seed-column s", "no column named s"},
        {"m,gap\n1,5\n2,6\n", "--target t", "no column named t"},
        {"m,gap\n1,5\n2,6\n", "--train t", "no column named t"},
        {"m,gap\n1,5\n2,6\n", "--params p", "no column named p"},
        {"m,gap\n1,5\n2,6\n", "--width w", "no column named w"},
        {"m,gap\n1,5\n2,6\n", "--ignore w", "no column named w"},
        {"m,gap\n1,5\n2,6\n", "--fit a=z*", "no column named z*"},
        {"m,gap\n1,5\n2,6\n", "--fit a", "NAME=COLUMN*"},
        {"m,gap\n1,5\n2,6\n", "--ignore m", "no column is left"},
        {"m,m\n1,5\n2,6\n", "", "line 1, column 2: the name m"},
        {"m,gap\n1,5\n2,6\n", "--hyper m,m", "named twice"},
        {"m,gap\n\"1,5\n2,6\n", "", "line 2, column 1: unterminated quote"},
        {"w,m,gap\n0,1,5\n1,2,6\n", "--width w", "line 2"},
        {"m,gap\n1,5\n2,6\n", "--level 2", "--level"},
        {"m,gap\n1,5\n2,6\n", "--nothing", "--nothing"},
    };
    char line[200];
    size_t i;
    NEEDS_FORK;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!write_file(csv_path, cases[i][0], strlen(cases[i][0]))) return;
        snprintf(line, sizeof line, "build/test_evaluate.csv --quiet %s", cases[i][1]);
        check_run(line, 2, cases[i][2]);
        snprintf(line, sizeof line, "build/test_evaluate.csv --json --quiet %s", cases[i][1]);
        check_run(line, 2, cases[i][2]);
        CHECK(out.data[0] == '\0' || out.data[0] == '{');
    }
    check_run("build/no.csv", 2, "build/no.csv: cannot be opened");
    check_run("", 2, "TABLE.csv is missing");
}

/* Every output marks what is undefined, and contains the rest. */
static void program_undefined(void) {
    static const char text[] = "w,m,c,gap\n1,1,7,1\n1,2,7,3\n1,3,7,2\n1,4,7,5\n";
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv --hyper w --json", 0,
              "note: build/test_evaluate.csv: lines 2 to 5, column 3 (c): constant (7)");
    CHECK(isnan(json_value("c", "tau_a")));
    check_run("build/test_evaluate.csv --hyper w", 0, "");
    CHECK(strstr(out.data, "left out because constant: c\n") != NULL);
    check_run("build/test_evaluate.csv --hyper w --measures m,c", 2, "constant (7)");
    CHECK(strstr(out.data, "undefined: all of c: it is 7 in every model") != NULL);
    check_run("build/test_evaluate.csv --hyper w --measures m,c --json", 2,
              "error: build/test_evaluate.csv: lines 2 to 5, column 3 (c): constant (7)");
    CHECK(isnan(json_value("c", "tau_a")) && isnan(json_value("c", "tau_b")));
    CHECK(isnan(json_value("c", "p")) && isnan(json_value("c", "K")));
    CHECK(isnan(json_value("c", "w")));
    CHECK(isnan(json_value("c", "r2")) && isnan(json_value("c", "Psi")));
    CHECK_CLOSE(json_value("m", "tau_a"), 2.0 / 3, 1e-15, 0);
    CHECK(isnan(json_value("m", "w")) && isnan(json_value("m", "Psi")));
    check_run("build/test_evaluate.csv --hyper w --ignore c", 0, "");
    CHECK(strstr(out.data, "undefined: psi of w: no two models differ only in this axis") != NULL);
    CHECK(strstr(out.data, "nan") == NULL);
}

/* A table as `measure` writes it. Infinite values are ranked but have no R2. Times and settings are
   left out, and so are columns that are undefined in all models or, for measures of the library, in
   some. */
static void program_evaluates_measured_rows(void) {
    static const char text[] =
        "net,train_images,train_error,test_loss,test_error,gap,parameters,parameters_seconds,"
        "spectral_orig,spectral_orig_folded,sum_of_frobenius,gradient_noise_final,"
        "gradient_noise_final_error,path_norm,train_loss,n_eff_z1,n_eff_error_z1,version,isa\n"
        "a,400,0.1,1.5,0.3,0.2,10,0.1,inf,inf,3,0.5,0.1,,0.1,7,1,0.9,avx2\n"
        "b,400,0.1,1.2,0.4,0.3,10,0.1,5,4,1,0.6,0.1,,0.2,5,2,0.9,avx2\n"
        "c,400,0.2,1.1,0.3,0.1,20,0.2,inf,-inf,2,,,,0.3,8,1,0.9,avx2\n"
        "d,400,0.2,1.9,0.6,0.4,20,0.2,7,6,5,0.7,0.2,,0.4,9,3,0.9,avx2\n";
    NEEDS_FORK;
    if (!write_file(csv_path, text, sizeof text - 1)) return;
    check_run("build/test_evaluate.csv --resamples 20", 0, "");
    CHECK(strstr(out.data, "not measures: times: parameters_seconds; losses and errors: test_loss, "
                           "gradient_noise_final_error, n_eff_error_z1; settings: net, "
                           "train_images; about the run: version, isa; without values: path_norm; "
                           "undefined in some models: gradient_noise_final (--measures") != NULL);
    CHECK(strstr(out.data, "undefined: R2 of spectral_orig: it has infinite values\n") != NULL);
    CHECK(strstr(out.data, "undefined: R2 of sum_of_frobenius") == NULL);
    CHECK(strstr(out.data, "nan") == NULL);
    check_run("build/test_evaluate.csv --json --resamples 20", 0,
              "note: R2 of spectral_orig_folded is undefined: it has infinite values");
    CHECK_CLOSE(json_value("spectral_orig", "tau_a"), -0.5, 1e-15, 0);
    CHECK_CLOSE(json_value("spectral_orig", "tau_b"), -0.5477225575051661, 1e-15, 0);
    CHECK_CLOSE(json_value("spectral_orig_folded", "tau_a"), 1.0 / 3, 1e-15, 0);
    CHECK(isnan(json_value("spectral_orig", "r2")) && isnan(json_value("spectral_orig", "cv_r2")));
    CHECK(json_value("sum_of_frobenius", "r2") > 0 && json_value("train_loss", "r2") > 0);
    CHECK(json_value("parameters_seconds", "tau_a") == -99);
    CHECK(json_value("test_loss", "tau_a") == -99 && json_value("train_images", "tau_a") == -99);
    CHECK(strstr(out.data, "\"left_out\":[\"net\",\"train_images\",\"test_loss\",") != NULL);
    check_run("build/test_evaluate.csv --json --resamples 0 "
              "--measures test_loss,parameters_seconds",
              0, "");
    CHECK(json_value("test_loss", "tau_a") == 1 || json_value("test_loss", "tau_a") > 0.5);
    check_run("build/test_evaluate.csv --json --resamples 0 --skip-missing", 0, "1 of 4 models");
    CHECK(json_value("gradient_noise_final", "tau_a") > -1);
    check_run("build/test_evaluate.csv --resamples 0 --svg build/test_evaluate_svg", 0, "");
}

/* A column of row numbers is not a measure, whatever name pandas gave it. */
static void program_leaves_out_row_numbers(void) {
    static const char *const tables[][2] = {
        {"Unnamed: 0,m,gap\n0,1,2\n1,2,3\n2,4,1\n", "Unnamed: 0"},
        {"Unnamed: 0.1,m,gap\n7,1,2\n3,2,3\n12,4,1\n", "Unnamed: 0.1"},
        {"index,m,gap\n1,1,2\n2,2,3\n3,4,1\n", "index"},
        {"Index,m,gap\n2,1,2\n0,2,3\n1,4,1\n", "Index"},
        {",m,gap\n0,1,2\n1,2,3\n2,4,1\n", "(no name)"},
    };
    static const char *const kept[] = {
        "index,m,gap\n1,1,2\n2,2,3\n4,4,1\n", "index,m,gap\n0,1,2\n1,2,3\n3,4,1\n",
        "index,m,gap\n0.5,1,2\n1,2,3\n2,4,1\n", "index,m,gap\n1,1,2\n2,2,3\n2,4,1\n"};
    static const char fractions[] = "Unnamed: 0,m,gap\n0.1,1,2\n.3,2,3\n2,4,1\n";
    char text[100];
    size_t i;
    NEEDS_FORK;
    for (i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (!write_file(csv_path, tables[i][0], strlen(tables[i][0]))) return;
        check_run("build/test_evaluate.csv --resamples 0", 0, "");
        snprintf(text, sizeof text, "not measures: row numbers: %s (", tables[i][1]);
        CHECK(strstr(out.data, text) != NULL);
        check_run("build/test_evaluate.csv --resamples 0 --json", 0, "");
        CHECK(json_value(tables[i][1], "tau_a") == -99 && json_value("m", "tau_a") < 0);
    }
    for (i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (!write_file(csv_path, kept[i], strlen(kept[i]))) return;
        check_run("build/test_evaluate.csv --resamples 0 --json", 0, "");
        CHECK(json_value("index", "tau_a") > -1);
    }
    if (!write_file(csv_path, fractions, sizeof fractions - 1)) return;
    check_run("build/test_evaluate.csv --resamples 0 --json", 0, "");
    CHECK(json_value("Unnamed: 0", "tau_a") > -1);
}

static void program_warns_of_settings(void) {
    static const char text[] = "lr,m,gap\n0.3,1,2\n0.30000000000000004,2,3\n0.31,4,1\n0.3,3,4\n";
    static const char apart[] = "lr,m,gap\n0,1,2\n1e-300,2,3\n1,4,1\ninf,3,4\ninf,5,5\n";
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv --hyper lr --resamples 0", 0,
              "warning: build/test_evaluate.csv: column 1 (lr): 0.29999999999999999 and "
              "0.30000000000000004 count as two settings");
    if (!write_file(csv_path, apart, sizeof apart - 1)) return;
    check_run("build/test_evaluate.csv --hyper lr --resamples 0", 0, "");
    CHECK(strstr(messages.data, "warning") == NULL);
}

/* Names are escaped for the terminal, and for each file according to its format. */
static void program_escapes_names(void) {
    static const char text[] = "a|b\x1b[31m,m\x1b]0;\x07&<\xb5,gap\n1,1,2\n2,2,3\n3,4,1\n4,3,5\n";
    const char *at;
    prun_table t;
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv --hyper a|b\x1b[31m --resamples 20 --csv "
              "build/test_evaluate_out.csv --svg build/test_evaluate_svg",
              0, "");
    for (at = out.data; *at != '\0' && (*at == '\n' || (*at >= ' ' && *at < 0x7f)); at++) {
    }
    CHECK(*at == '\0' && strstr(out.data, "m\\x1b]0;\\x07&<\\xb5") != NULL);
    CHECK(strstr(out.data, "a|b\\x1b[31m   ") != NULL); /* one cell of the header */
    if (CHECK_STATUS(prun_table_load_csv(&test_context, "build/test_evaluate_out.csv", &t),
                     PRUN_OK)) {
        CHECK(strcmp(t.cells[0], "m\x1b]0;\x07&<\xb5") == 0);
        CHECK(prun_table_find(&t, "psi_a|b\x1b[31m") >= 0);
        prun_table_free(&t);
    }
    check_run("build/test_evaluate.csv --hyper a|b\x1b[31m --resamples 0 --json", 0, "");
    CHECK(strstr(out.data, "\"m\\u001b]0;\\u0007&<\\u00b5\":{") != NULL);
}

#ifdef HAVE_FORK
static int same_text(const char *path, const char *text) {
    char piece[512];
    FILE *file = fopen(path, "rb");
    size_t n = file != NULL ? fread(piece, 1, sizeof piece, file) : 0;
    if (file != NULL) fclose(file);
    return n == strlen(text) && memcmp(piece, text, n) == 0;
}
#endif

/* No output may replace the table, whatever its path. All outputs are checked before the work. */
static void program_keeps_its_input(void) {
#ifdef HAVE_FORK
    static const char text[] = "m,gap\n1,2\n2,3\n4,1\n";
    static const char *const paths[] = {
        "build/test_evaluate.csv", "build/../build/test_evaluate.csv",
        "build/test_evaluate_link.csv", "build/test_evaluate_hard.csv"};
    char line[200];
    size_t i;
    if (!write_file(csv_path, text, sizeof text - 1)) return;
    remove(paths[2]);
    remove(paths[3]);
    CHECK(symlink("test_evaluate.csv", paths[2]) == 0 && link(csv_path, paths[3]) == 0);
    for (i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(line, sizeof line, "build/test_evaluate.csv --csv %s", paths[i]);
        check_run(line, 2, "this is the table that is read");
        CHECK(same_text(csv_path, text));
    }
    CHECK(ex_directory("build/test_evaluate_svg") == 0);
    CHECK(write_file("build/test_evaluate_svg/psi.svg", text, sizeof text - 1));
    check_run("build/test_evaluate_svg/psi.svg --svg build/test_evaluate_svg", 2,
              "this is the table");
    CHECK(same_text("build/test_evaluate_svg/psi.svg", text));
    remove(paths[2]);
    remove(paths[3]);
    check_run("build/test_evaluate.csv --csv build/no/such.csv", 1, "build/no");
    CHECK(out.data[0] == '\0'); /* before any computation */
    check_run("build/test_evaluate.csv --csv build", 1, "folder");
    check_run("build/test_evaluate.csv --svg build/test_evaluate.csv", 1, "test_evaluate.csv");
#else
    SKIP("needs links");
#endif
}

/* The sentences before the tables: the best measure, the next one, and how many have a sign. */
static void program_opens_with_its_findings(void) {
    static const char table[] = "up,down,noise,gap\n1,-1,2,1\n2,-2,7,2\n3,-3,1,3\n4,-4,8,4\n"
                                "5,-5,3,5\n6,-6,6,6\n7,-7,4,7\n8,-8,5,8\n";
    static const char constant[] = "m,gap\n1,1\n1,2\n1,3\n";
    NEEDS_FORK;
    if (!write_file(csv_path, table, sizeof table - 1)) return;
    check_run("build/test_evaluate.csv --resamples 200", 0, "");
    CHECK(strstr(out.data, "\n8 models are too few for a reliable ranking of measures.\n"
                           "up follows the generalization gap best of 3 measures: tau +1.000 "
                           "(95 % interval +1.000 to +1.000).\nThe next is noise (+0.143): the "
                           "difference of 0.857 (+") != NULL);
    CHECK(strstr(out.data, ") is significant.\nMeasures that increase with the "
                           "generalization gap: 1 of 3; that decrease: 1 (") != NULL);
    check_run("build/test_evaluate.csv --resamples 0 --measures noise,down", 0, "");
    CHECK(strstr(out.data, "noise follows the generalization gap best of 2 measures: tau "
                           "+0.143.\nThe next is down (-1.000).\n\nTable 1") != NULL);
    CHECK(strstr(out.data, "cannot fall below") == NULL);
    check_run("build/test_evaluate.csv --resamples 0 --measures noise", 0, "");
    CHECK(strstr(out.data, "\nnoise is the only measure: tau +0.143.\n\nTable 1") != NULL);
    check_run("build/test_evaluate.csv --resamples 20", 0, "");
    CHECK(strstr(out.data, "p (Holm) of 2 comparisons cannot fall below 0.2 with 20 resamples") !=
          NULL);
    if (!write_file(csv_path, constant, sizeof constant - 1)) return;
    check_run("build/test_evaluate.csv --resamples 0", 2, "constant");
}

static void program_skips_missing(void) {
    static const char text[] = "m,x,gap,status\n1,1,1,ok\n2,,3,failed\n3,5,2,ok\n4,4,,ok\n"
                               "5,2,4,ok\n";
    NEEDS_FORK;
    CHECK(write_file(csv_path, text, sizeof text - 1));
    check_run("build/test_evaluate.csv", 2, "--skip-missing");
    check_run("build/test_evaluate.csv --skip-missing --json", 0, "2 of 5 models");
    CHECK(strstr(out.data, "\"models\":3") != NULL);
    CHECK_CLOSE(json_value("m", "tau_a"), 1, 1e-15, 0);
    check_run("build/test_evaluate.csv --skip-missing --measures m --json", 0, "1 of 5 models");
    CHECK(strstr(out.data, "\"models\":4") != NULL);
}

static const test_case cases[] = {
    TEST_CASE(program_json),
    TEST_CASE(program_rounds_the_gap),
    TEST_CASE(program_tables_of_maddox),
    TEST_CASE(program_outputs),
    TEST_CASE(program_bad_input),
    TEST_CASE(program_undefined),
    TEST_CASE(program_evaluates_measured_rows),
    TEST_CASE(program_leaves_out_row_numbers),
    TEST_CASE(program_warns_of_settings),
    TEST_CASE(program_escapes_names),
    TEST_CASE(program_keeps_its_input),
    TEST_CASE(program_opens_with_its_findings),
    TEST_CASE(program_skips_missing),
};

int main(int argc, char **argv) {
    int status;
    own_path = argv[0];
    if (argc > 1 && strcmp(argv[1], as_evaluate) == 0) {
        argv[1] = argv[0];
        return evaluate_main(argc - 1, argv + 1);
    }
    status = TEST_MAIN("test_evaluate", cases, argc, argv);
    ex_text_free(&out);
    ex_text_free(&messages);
    return status;
}
