/* Every failure that a public function can meet: each of its memory requests refused, and each call
   of a callback failing, cancelling or lying. The list of functions is read from the header, so
   that none is forgotten. */
#include "exercises.h"

/* ---- the list of public functions ---- */

enum { MOST_FUNCTIONS = 1000, NAME = 80 };

static char functions[MOST_FUNCTIONS][NAME];
static int function_count;

/* The text of the header, from the parent directory of this file or from the current directory. */
static char *header_text(void) {
    char path[600];
    const char *slash = strrchr(__FILE__, '/');
    FILE *file;
    char *text = NULL;
    long size = 0;
    snprintf(path, sizeof path, "%.*s../prunability.h",
             slash != NULL ? (int)(slash + 1 - __FILE__) : 0, __FILE__);
    file = fopen(path, "rb");
    if (file == NULL) file = fopen("prunability.h", "rb");
    if (file == NULL) return NULL;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    rewind(file);
    text = (char *)calloc((size_t)size + 1, 1);
    if (text != NULL && fread(text, 1, (size_t)size, file) != (size_t)size) text[0] = '\0';
    fclose(file);
    return text;
}

static int is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Fills `functions`: the name before the first parenthesis after each PRUNDEF that begins a line.
   Declarations and definitions both count, so that it does not matter where the API ends. */
static void read_functions(void) {
    char *text = header_text(), *at;
    int i;
    if (text == NULL) return;
    for (at = text; (at = strstr(at, "\nPRUNDEF ")) != NULL; at++) {
        const char *end = strchr(at, '('), *begin = end;
        while (begin != NULL && is_name(begin[-1])) begin--;
        if (begin == NULL || begin == end || end - begin >= NAME) continue;
        for (i = 0; i < function_count; i++) {
            if (strlen(functions[i]) == (size_t)(end - begin) &&
                memcmp(functions[i], begin, (size_t)(end - begin)) == 0)
                break;
        }
        if (i < function_count || function_count == MOST_FUNCTIONS) continue;
        snprintf(functions[function_count++], NAME, "%.*s", (int)(end - begin), begin);
    }
    free(text);
}

/* ---- functions that allocate no memory ---- */

static void quiet_strings(world *w) {
    prun_trainer *trainer = make_trainer(w);
    arm(w);
    CHECK(prun_status_string(PRUN_ERR_MEMORY)[0] != '\0');
    CHECK(prun_message(w->context) == w->own.message);
    CHECK(strcmp(prun_version(), PRUNABILITY_VERSION) == 0);
    CHECK(prun_isa()[0] != '\0');
    CHECK(prun_isa_set("no such kernels") == PRUN_ERR_UNSUPPORTED);
    CHECK(prun_isa_set(NULL) == PRUN_OK);
    CHECK(prun_trainer_epoch_count(trainer) == 0);
    w->heap.armed = 0;
    prun_trainer_free(trainer);
}

static void quiet_numbers(world *w) {
    const prun_epoch *e = history;
    prun_train_options train = train_options(w);
    const prun_perturb_options perturb = perturb_options(w);
    prun_dropout_bound bound;
    uint32_t block_[4];
    int64_t order[7];
    memset(&bound, 0, sizeof bound);
    bound.samples = 10;
    arm(w);
    prun_random_block(1, 2, 3, block_);
    prun_random_permutation(1, 2, 7, order);
    CHECK(prun_random_bits(1, 2, 3) == prun_random_bits(1, 2, 3));
    CHECK(prun_random_uniform(1, 2, 3) < 1 && prun_random_normal(1, 2, 3) < 100);
    CHECK(prun_tensor_size(weight_tensor(w)) == 18);
    CHECK(prun_train_resolved(&train).batch == 8 && prun_learning_rate(&train, 0) > 0);
    CHECK(prun_perturb_resolved(&perturb).draws == 2 && prun_kept_count(1, 2, 10) == 5);
    CHECK(prun_kept_count_at(.25, 10) == 3);
    CHECK(prun_hessian_resolved(&w->objective, NULL).steps > 0);
    CHECK(prun_frobenius_squared(weight_tensor(w)) > 0);
    CHECK(prun_sum_of_frobenius(w->objective.tensors, w->objective.tensor_count) > 0);
    CHECK(prun_sum_of_train_losses(e, 2) == -3);
    CHECK(prun_pacbayes_bound(1, 1, 10) > 0);
    CHECK(prun_pacbayes_magnitude_bound(w->objective.tensors, NULL, 1, 1, 1, 1, 10) > 0);
    CHECK(prun_dropout_bound_value(&bound) == prun_dropout_bound_value(&bound));
    CHECK(prun_sign_error_weight(.1, 1000) >= 0);
    w->heap.armed = 0;
}

static void quiet_arrays(world *w) {
    static const double p[3] = {.01, .04, .5};
    static float nchw[20 * 2], lanes[32 * 2], plain[PIXELS];
    static const float logits[6] = {1, 2, 3, 3, 2, 1};
    static const int32_t labels[2] = {0, 1};
    prun_images images = w->images;
    prun_conv2d conv;
    double adjusted[3], margins[2], normalized[3], weight, ess;
    int64_t height, width;
    memset(&conv, 0, sizeof conv);
    conv.in_channels = conv.out_channels = 1;
    conv.in_height = conv.in_width = 3;
    conv.kernel[0] = 2;
    arm(w);
    CHECK(prun_lanes_size(20, 2, 1, 1) == 64);
    prun_lanes_pack(nchw, 20, 2, 1, 1, lanes);
    prun_lanes_unpack(lanes, 20, 2, 1, 1, nchw);
    CHECK(prun_conv2d_output(w->context, &conv, &height, &width) == PRUN_OK && height == 2);
    CHECK(prun_cross_entropy(logits, 3, 0, NULL) > 0);
    prun_output_margins(logits, labels, 2, 3, margins);
    prun_normalize_logits(logits, 3, normalized);
    CHECK(prun_disagreement(logits, logits, 2, 3) == 0);
    prun_holm(p, 3, adjusted);
    CHECK(prun_sign_error_pair(&(prun_runs){p, p, 3}, &(prun_runs){adjusted, adjusted, 3}, 1000,
                               &weight, &ess) <= 1);
    CHECK(prun_images_check(w->context, &images) == PRUN_OK);
    CHECK(prun_images_copy(w->context, &images, NULL, 1, NULL, plain) == PRUN_OK);
    CHECK(prun_images_standardize(w->context, &images) == PRUN_OK);
    prun_images_free(&images);
    w->heap.armed = 0;
}

static void quiet_net(world *w) {
    prun_objective objective;
    int32_t layers[4];
    int64_t count, measures;
    arm(w);
    prun_net_set_initializer(w->net, PRUN_INITIALIZER_PYTORCH);
    prun_net_set_algorithm(w->net, PRUN_ALGORITHM_AUTO);
    CHECK(prun_net_tensors(w->net, &count) != NULL && count == 9);
    CHECK(prun_net_trained_tensors(w->net, &count) != NULL && count == 7);
    CHECK(prun_net_parameter_count(w->net) > prun_net_weight_count(w->net));
    CHECK(prun_net_class_count(w->net) == CLASSES);
    prun_net_margin_layers(w->net, layers);
    CHECK(prun_net_objective(w->net, &w->images, &objective) == PRUN_OK);
    CHECK(prun_measures(&measures) != NULL && prun_measure_find("no such measure") == -1);
    prun_net_initialize(w->net, 6);
    w->heap.armed = 0;
}

static void quiet_table(world *w) {
    static const uint8_t keep[2] = {1, 0};
    prun_table table;
    const double *values = NULL;
    memset(&table, 0, sizeof table);
    if (!CHECK(prun_table_load_csv(w->context, saved_table(), &table) == PRUN_OK)) return;
    arm(w);
    CHECK(prun_table_find(&table, "width") == 1);
    CHECK(prun_table_numbers(w->context, &table, "width", &values) == PRUN_OK);
    CHECK(prun_table_numbers(w->context, &table, "loss", &values) == PRUN_ERR_MISSING);
    CHECK(prun_table_settings(w->context, &table, "name", &values) == PRUN_OK);
    prun_table_keep_rows(&table, keep);
    prun_table_free(&table);
    w->heap.armed = 0;
}

static void quiet_file(world *w) {
    prun_safetensors *file = open_file(w, saved_values());
    float floats[3];
    int64_t integers[2];
    prun_arch arch;
    if (!CHECK(file != NULL)) return;
    arm(w);
    CHECK(prun_safetensors_read_f32(file, prun_safetensors_find(file, "a"), floats) == PRUN_OK);
    CHECK(prun_safetensors_read_i64(file, prun_safetensors_find(file, "b"), integers) == PRUN_OK);
    CHECK(prun_arch_read_safetensors(file, PRUN_FAMILY_CNN, NULL, &arch) != PRUN_OK);
    CHECK(prun_safetensors_entry_count(file) == 2);
    CHECK(prun_safetensors_at(file, 0) == prun_safetensors_find(file, "a"));
    CHECK(prun_safetensors_metadata(file, "format") != NULL);
    prun_safetensors_close(file);
    w->heap.armed = 0;
}

static void quiet_output(world *w) {
    prun_output *kept = NULL, *discarded = NULL;
    char path[500];
    snprintf(path, sizeof path, "%s", in_directory("output"));
    CHECK(prun_output_open(w->context, path, &kept) == PRUN_OK);
    CHECK(prun_output_open(w->context, path, &discarded) == PRUN_OK);
    if (kept == NULL || discarded == NULL) return;
    arm(w);
    CHECK(prun_output_stream(kept) != NULL && prun_output_temporary(kept) != NULL);
    prun_output_discard(discarded);
    CHECK(prun_output_close(kept) == PRUN_OK);
    prun_output_discard(NULL);
    w->heap.armed = 0;
    CHECK(files_named("output", 1) == 1);
}

/* Functions that free: with objects, and with NULL. */
static void quiet_releases(world *w) {
    prun_net *net = NULL;
    prun_trainer *trainer = make_trainer(w);
    prun_spectrum spectrum = make_spectrum(w);
    prun_measurement *measurement = NULL;
    prun_array array;
    CHECK(build_small(w->context, &net) == PRUN_OK);
    CHECK(prun_measurement_create(&w->objective, NULL, &measurement) == PRUN_OK);
    write_npy("array.npy", "<f4", "2, 3", 24);
    CHECK(prun_array_load_npy(w->context, in_directory("array.npy"), &array) == PRUN_OK);
    arm(w);
    prun_net_free(net);
    prun_trainer_free(trainer);
    prun_spectrum_free(&spectrum);
    prun_measurement_free(measurement);
    prun_array_free(&array);
    prun_net_free(NULL);
    prun_trainer_free(NULL);
    prun_array_free(NULL);
    prun_images_free(NULL);
    prun_safetensors_close(NULL);
    w->heap.armed = 0;
}

/* The functions that resolve options. */
static void quiet_options(world *w) {
    arm(w);
    CHECK(prun_conv2d_resolved(NULL).stride[1] == 1 && prun_arch_resolved(NULL).width == 64);
    CHECK(prun_prune_resolved(NULL).beta[0] == 0.1 && prun_sharpness_resolved(NULL).restarts == 3);
    CHECK(prun_same_size_resolved(NULL).noise == PRUN_NOISE_GAUSSIAN);
    CHECK(prun_dropout_bound_resolved(NULL).delta == 0.05);
    CHECK(prun_measure_resolved(NULL).hessian_samples == 500);
    CHECK(prun_score_resolved(&w->plain, NULL).samples == w->plain.samples);
    CHECK(prun_ball_resolved(NULL).steps == 20 && prun_module_count(&w->plain) > 0);
    CHECK(prun_criticality_resolved(&w->plain, NULL).samples == w->plain.samples);
    CHECK(prun_regression_resolved(NULL).folds == 10);
    CHECK(prun_sign_error_resolved(NULL).effective_size == 12);
    CHECK(prun_resampling_resolved(NULL).resamples == 10000);
    CHECK(prun_idx_resolved(NULL).classes == 10 && prun_npy_resolved(NULL).classes == 0);
    w->heap.armed = 0;
}

static void quiet_bindings(world *w) {
    int64_t count;
    arm(w);
    CHECK(prun_fields(&count) != NULL && count > 300);
    CHECK(prun_struct_size("prun_tensor") == (int64_t)sizeof(prun_tensor));
    CHECK(prun_struct_size("no such struct") == -1);
    w->heap.armed = 0;
}

static void quiet_measurement(world *w) {
    prun_measurement *m = NULL;
    CHECK(prun_measurement_create(&w->plain, NULL, &m) == PRUN_OK);
    arm(w);
    CHECK(prun_measurement_loss(m) > 0 && prun_measurement_error_rate(m) <= 1);
    CHECK(prun_measurement_losses(m)[0] > 0 && prun_measurement_logits(m) != NULL);
    CHECK(prun_measurement_margins(m) != NULL);
    w->heap.armed = 0;
    prun_measurement_free(m);
}

typedef struct quiet {
    void (*use)(world *w);
    const char *functions; /* that it calls, each with a blank before and after it */
} quiet;

static const quiet quiets[] = {
    {quiet_strings, " prun_version prun_status_string prun_message prun_isa prun_isa_set "
                    "prun_trainer_epoch_count "},
    {quiet_numbers, " prun_random_block prun_random_permutation prun_random_bits"
                    " prun_random_uniform prun_random_normal prun_tensor_size prun_train_resolved"
                    " prun_learning_rate prun_perturb_resolved prun_kept_count"
                    " prun_kept_count_at"
                    " prun_hessian_resolved prun_frobenius_squared prun_sum_of_frobenius"
                    " prun_sum_of_train_losses prun_pacbayes_bound prun_pacbayes_magnitude_bound"
                    " prun_dropout_bound_value prun_sign_error_weight "},
    {quiet_arrays,
     " prun_lanes_size prun_lanes_pack prun_lanes_unpack prun_conv2d_output prun_cross_entropy"
     " prun_output_margins prun_normalize_logits prun_disagreement prun_holm prun_sign_error_pair "
     "prun_images_check prun_images_copy"
     " prun_images_standardize prun_images_free "},
    {quiet_net,
     " prun_net_set_initializer prun_net_set_algorithm prun_net_tensors prun_net_trained_tensors"
     " prun_net_parameter_count prun_net_weight_count prun_net_class_count prun_net_margin_layers"
     " prun_net_objective prun_measures prun_measure_find prun_net_initialize "},
    {quiet_table, " prun_table_find prun_table_numbers prun_table_settings prun_table_keep_rows"
                  " prun_table_free "},
    {quiet_file, " prun_safetensors_entry_count prun_safetensors_at prun_safetensors_find"
                 " prun_safetensors_metadata prun_safetensors_close prun_safetensors_read_f32"
                 " prun_safetensors_read_i64 prun_arch_read_safetensors "},
    {quiet_output, " prun_output_stream prun_output_temporary prun_output_close"
                   " prun_output_discard "},
    {quiet_releases, " prun_net_free prun_trainer_free prun_spectrum_free prun_measurement_free"
                     " prun_array_free "},
    {quiet_options,
     " prun_conv2d_resolved prun_arch_resolved prun_prune_resolved"
     " prun_sharpness_resolved prun_same_size_resolved prun_dropout_bound_resolved"
     " prun_measure_resolved prun_score_resolved prun_regression_resolved prun_sign_error_resolved"
     " prun_ball_resolved prun_module_count prun_criticality_resolved"
     " prun_resampling_resolved prun_idx_resolved prun_npy_resolved "},
    {quiet_bindings, " prun_fields prun_struct_size "},
    {quiet_measurement, " prun_measurement_loss prun_measurement_error_rate"
                        " prun_measurement_losses prun_measurement_logits"
                        " prun_measurement_margins "},
};

enum { QUIETS = sizeof quiets / sizeof quiets[0] };

static int is_quiet(const char *function) {
    char spaced[NAME + 3];
    int i, found = 0;
    snprintf(spaced, sizeof spaced, " %.*s ", NAME, function);
    for (i = 0; i < QUIETS; i++) {
        found |= strstr(quiets[i].functions, spaced) != NULL;
    }
    return found;
}

static int is_exercised(const char *function) {
    int i;
    for (i = 0; i < EXERCISES; i++) {
        if (strcmp(exercises[i].function, function) == 0) return 1;
    }
    return 0;
}

static int is_public(const char *function, size_t length) {
    int i;
    for (i = 0; i < function_count; i++) {
        if (strlen(functions[i]) == length && memcmp(functions[i], function, length) == 0) return 1;
    }
    return 0;
}

/* Every public function is in one of the two tables, and nothing else is. */
static void every_function_is_here(void) {
    int i;
    CHECK(function_count > 100);
    for (i = 0; i < function_count; i++) {
        if (CHECK(is_exercised(functions[i]) != is_quiet(functions[i]))) continue;
        printf("  %s: %s\n", functions[i],
               is_quiet(functions[i])
                   ? "is in the table of exercises and in that of quiet functions"
                   : "add an exercise to tests/exercises.h, or, if it asks for no memory, a call "
                     "to one of the quiet_ functions of tests/test_failures.c");
    }
    for (i = 0; i < EXERCISES; i++) {
        if (!CHECK(is_public(exercises[i].function, strlen(exercises[i].function))))
            printf("  %s is no public function\n", exercises[i].function);
    }
    for (i = 0; i < QUIETS; i++) {
        const char *at = quiets[i].functions + 1;
        for (; *at != '\0'; at = strchr(at, ' ') + 1) {
            const size_t length = strcspn(at, " ");
            if (!CHECK(is_public(at, length)))
                printf("  %.*s is no public function\n", (int)length, at);
        }
    }
}

static void quiet_functions_ask_for_nothing(void) {
    static world w;
    int i;
    for (i = 0; i < QUIETS; i++) {
        int64_t before = default_requests;
        if (!world_make(&w, SERIAL)) return;
        quiets[i].use(&w);
        if (!CHECK(w.heap.requests == 0 && default_requests == before))
            printf("  one of%s\n", quiets[i].functions);
        world_end(&w);
    }
}

/* ---- what must hold after every run ---- */

/* The results of a run without failures. */
typedef struct reference {
    int64_t requests, calls[CALLBACKS], in_all;
    uint64_t digest;
    output outputs[MOST_OUTPUTS];
    int32_t output_count;
} reference;

/* Counts since the last report. */
static int64_t requests_refused, callbacks_failed, callbacks_cancelled, lies_told, lies_noticed;

static void tell_figures(void) {
    printf("  %lld requests refused; callbacks: %lld failed, %lld cancelled, %lld lied (%lld of "
           "them noticed)\n",
           (long long)requests_refused, (long long)callbacks_failed, (long long)callbacks_cancelled,
           (long long)lies_told, (long long)lies_noticed);
    requests_refused = callbacks_failed = callbacks_cancelled = lies_told = lies_noticed = 0;
}

static int output_guarded(const output *o) {
    return all_bytes(o->memory, GUARD, FILL) && all_bytes(o->memory + GUARD + o->size, GUARD, FILL);
}

static int output_untouched(const output *o) { return all_bytes(o->memory + GUARD, o->size, FILL); }

/* Elements as in `whole`, then untouched ones. */
static int output_begun(const output *o, const output *whole) {
    size_t at = 0;
    while (at < o->size &&
           memcmp(o->memory + GUARD + at, whole->memory + GUARD + at, o->element) == 0) {
        at += o->element;
    }
    return all_bytes(o->memory + GUARD + at, o->size - at, FILL);
}

/* Adds the outputs of a successful run to its results. */
static void digest_outputs(world *w) {
    int32_t i;
    for (i = 0; w->status == PRUN_OK && i < w->output_count; i++) {
        const output *o = &w->outputs[i];
        if (o->kind == WHOLE || o->kind == BEGUN) result(w, o->memory + GUARD, o->size);
    }
}

static prun_status run(world *w, const exercise *e) {
    const prun_status status = e->use(w);
    if (!(e->flags & RETRIES)) digest_outputs(w);
    return status;
}

enum {
    KNOWN_RESULTS = 1, /* no callback lied: the partial output of a stopped run is known */
    OWN_MESSAGE = 2    /* the message is about this failure, not about an earlier one */
};

static int check_failed(const world *w, const exercise *e, const reference *r, int expected) {
    int holds = 1;
    int32_t i;
    for (i = 0; i < w->output_count; i++) {
        const output *o = &w->outputs[i];
        holds &= CHECK(output_guarded(o));
        if (o->kind == WHOLE || o->kind == HANDLE) holds &= CHECK(output_untouched(o));
        if (o->kind == BEGUN && (expected & KNOWN_RESULTS))
            holds &= CHECK(output_begun(o, &r->outputs[i]));
    }
    if (!(e->flags & CHANGES)) holds &= CHECK(!w->weights_changed);
    holds &= CHECK(!w->file_harmed);
    if (w->context != NULL && (expected & OWN_MESSAGE)) {
        holds &= CHECK(w->own.message[0] != '\0');
        holds &= CHECK(strcmp(w->own.message, "a message of before") != 0);
        holds &= CHECK(w->own.status == w->status);
    }
    return holds;
}

/* The same call without failures gives the same results as the first time. */
static int check_again(world *w, const exercise *e, const reference *r) {
    int holds;
    world_again(w);
    holds = CHECK(run(w, e) == PRUN_OK);
    holds &= CHECK(w->digest == r->digest);
    holds &= CHECK(!w->file_harmed);
    holds &= CHECK((e->flags & (CHANGES | SUCCEEDS)) || !w->weights_changed);
    return holds;
}

static void say(int holds, const exercise *e, int surroundings, const char *what, int64_t at,
                int number) {
    static const char *const places[SURROUNDINGS] = {"one thread", "hook", "OpenMP", "no context"};
    if (!holds && test_failures <= TEST_SHOWN)
        printf("  %s (number %d, %s): %s %lld (%d)\n", e->function, (int)(e - exercises),
               places[surroundings], what, (long long)at, number);
}

static int reference_make(reference *r, const exercise *e, int surroundings) {
    static world w;
    const int64_t before = default_requests;
    prun_status status;
    int32_t i;
    int holds;
    memset(r, 0, sizeof *r);
    if (!world_make(&w, surroundings)) return 0;
    status = run(&w, e);
    holds = CHECK(status == PRUN_OK);
    holds &= CHECK(!w.file_harmed && default_requests == before);
    holds &= CHECK((e->flags & (CHANGES | SUCCEEDS)) || !w.weights_changed);
    if (!holds) printf("  message: %s\n", w.own.message);
    r->requests = w.heap.requests;
    r->digest = w.digest;
    r->in_all = w.in_all;
    memcpy(r->calls, w.calls, sizeof r->calls);
    r->output_count = w.output_count;
    for (i = 0; i < w.output_count; i++) {
        r->outputs[i] = w.outputs[i];
        holds &= CHECK(output_guarded(&w.outputs[i]));
    }
    w.output_count = 0; /* the reference owns them now */
    world_end(&w);
    say(holds, e, surroundings, "nothing failing", 0, (int)status);
    return holds;
}

static void reference_end(reference *r) {
    while (r->output_count > 0) {
        free(r->outputs[--r->output_count].memory);
    }
}

/* The number to try after `at` among 1 .. count: all if they are few, otherwise the first ones, the
   last ones and a sample of the rest. */
static int64_t next_of(int64_t at, int64_t count, int64_t most) {
    const int64_t end = most / 6, step = count / most + 1;
    if (count <= most || at < end || at >= count - end) return at + 1;
    return at + step < count - end ? at + step : count - end;
}

/* ---- memory ---- */

/* Above this number, only a sample is tried. The address sanitizer is five times slower. */
enum { MOST_REQUESTS = SANITIZED ? 90 : 300 };

static int refuse_one(const exercise *e, const reference *r, int surroundings, int64_t at,
                      int32_t once) {
    static world w;
    int holds;
    if (!world_make(&w, surroundings)) return 0;
    w.heap.fail_at = at;
    w.heap.once = once;
    holds = CHECK(run(&w, e) == PRUN_ERR_MEMORY);
    holds &= CHECK(w.heap.refused > 0);
    holds &= check_failed(&w, e, r, KNOWN_RESULTS | OWN_MESSAGE);
    if (e->flags & RETRIES) holds &= CHECK(w.digest == r->digest);
    if (!(e->flags & LONG) || at % 4 == 0) holds &= check_again(&w, e, r);
    world_end(&w);
    holds &= w.heap.live == 0 && w.heap.damaged == 0;
    requests_refused++;
    say(holds, e, surroundings, "refused request", at, once);
    return holds;
}

static void refuse_every_request(const exercise *e, int surroundings, int64_t most) {
    reference r;
    int32_t once;
    int64_t at;
    int holds = 1;
    if (!reference_make(&r, e, surroundings)) return;
    if (!CHECK(r.requests > 0))
        printf("  %s asks for no memory: move it to the quiet functions\n", e->function);
    for (once = 0; once < 2; once++) {
        for (at = 1; holds && at <= r.requests; at = next_of(at, r.requests, most)) {
            holds = refuse_one(e, &r, surroundings, at, once);
        }
    }
    reference_end(&r);
}

static void memory_refused_to_one_thread(void) {
    int i;
    for (i = 0; i < EXERCISES; i++) refuse_every_request(&exercises[i], SERIAL, MOST_REQUESTS);
    tell_figures();
}

static void memory_refused_under_a_hook(void) {
    int i;
    for (i = 0; i < EXERCISES; i++) refuse_every_request(&exercises[i], HOOK, 24);
    tell_figures();
}

static void memory_refused_under_openmp(void) {
    int i;
#ifndef _OPENMP
    SKIP("compiled without OpenMP");
    return;
#endif
    for (i = 0; i < EXERCISES; i++) {
        if (!(exercises[i].flags & LONG)) refuse_every_request(&exercises[i], OPENMP, 3);
    }
    tell_figures();
}

/* PRUNABILITY_MALLOC fails in calls without a context. */
static void memory_refused_without_context(void) {
    int i;
    for (i = 0; i < EXERCISES; i++) refuse_every_request(&exercises[i], NO_CONTEXT, 12);
    tell_figures();
}

/* ---- callbacks that fail and cancel ---- */

static int fail_one(const exercise *e, const reference *r, int surroundings, callback which,
                    int64_t at) {
    static const prun_status answers[7] = {PRUN_ERR_CALLBACK,   PRUN_ERR_CANCELLED, PRUN_ERR_READ,
                                           PRUN_ERR_MEMORY,     PRUN_ERR_ARGUMENT,  (prun_status)77,
                                           (prun_status)INT_MIN};
    static world w;
    const int cancels = which == ON_PROGRESS || which == ON_EPOCH;
    int holds;
    if (!world_make(&w, surroundings)) return 0;
    w.which = which;
    w.at = at;
    w.answer = answers[at % 7];
    holds = CHECK(run(&w, e) == (cancels ? PRUN_ERR_CANCELLED : w.answer));
    holds &= CHECK(w.calls[which] == at); /* it was the last one */
    holds &= check_failed(&w, e, r, KNOWN_RESULTS | OWN_MESSAGE);
    if (!(e->flags & LONG) || at % 4 == 0) holds &= check_again(&w, e, r);
    world_end(&w);
    *(cancels ? &callbacks_cancelled : &callbacks_failed) += 1;
    say(holds, e, surroundings, cancels ? "cancelled at call" : "failed call", at, (int)which);
    return holds;
}

static void fail_every_call(int surroundings, uint32_t left_out, int64_t most) {
    static const callback kinds[6] = {ON_LOSS,   ON_GRADIENT, ON_HESSIAN,
                                      ON_LOGITS, ON_PROGRESS, ON_EPOCH};
    int i, k, holds;
    for (i = 0; i < EXERCISES; i++) {
        reference r;
        int64_t at;
        if (exercises[i].flags & left_out) continue;
        if (!reference_make(&r, &exercises[i], surroundings)) continue;
        for (k = 0; k < 6; k++) {
            const int64_t count = r.calls[kinds[k]];
            for (at = holds = 1; holds && at <= count; at = next_of(at, count, most)) {
                holds = fail_one(&exercises[i], &r, surroundings, kinds[k], at);
            }
        }
        reference_end(&r);
    }
    tell_figures();
}

static void callbacks_fail_in_one_thread(void) { fail_every_call(SERIAL, 0, 60); }

static void callbacks_fail_under_a_hook(void) { fail_every_call(HOOK, 0, 12); }

static void callbacks_fail_under_openmp(void) {
#ifdef _OPENMP
    fail_every_call(OPENMP, LONG, 3);
#else
    SKIP("compiled without OpenMP");
#endif
}

/* ---- callbacks that lie ---- */

static int known_status(prun_status status) {
    return status <= PRUN_OK && strcmp(prun_status_string(status), "unknown status") != 0;
}

/* The call must end in time, return a known status and, whatever the lie, restore the weights. */
static int lie_once(const exercise *e, const reference *r, callback which, lie l, int64_t at,
                    int32_t onwards) {
    static world w;
    int holds;
    prun_status status;
    if (!world_make(&w, SERIAL)) return 0;
    w.which = which;
    w.at = at;
    w.onwards = onwards;
    w.lie = l;
    w.most_calls = 1000 + 50 * r->in_all;
    status = run(&w, e);
    lies_noticed += status != PRUN_OK;
    holds = CHECK(known_status(status));
    holds &= CHECK(!too_many(&w) && w.in_all <= w.most_calls);
    if (status != PRUN_OK) holds &= check_failed(&w, e, r, OWN_MESSAGE);
    if (l != LIE_WEIGHTS || (e->flags & RESTORES))
        holds &= CHECK((e->flags & (CHANGES | SUCCEEDS)) || !w.weights_changed);
    holds &= check_again(&w, e, r);
    world_end(&w);
    lies_told++;
    if (!holds && test_failures <= TEST_SHOWN)
        printf("  lie %d, answered by %d: %s\n", (int)l, (int)status, w.own.message);
    say(holds, e, SERIAL, onwards ? "lies from call" : "lies in call", at, (int)which);
    return holds;
}

static void lie_in_every_way(callback which) {
    int i, l, holds;
    for (i = 0; i < EXERCISES; i++) {
        const exercise *e = &exercises[i];
        reference r;
        int64_t at, count;
        if (!reference_make(&r, e, SERIAL)) continue;
        count = r.calls[which];
        for (l = LIE_NAN; l < LIES; l++) {
            const int64_t most = e->flags & ALL_RESULTS ? 6 : 12;
            if (l > LIE_NEGATIVE && l < LIE_CHANGING && which != ON_LOSS) continue;
            for (at = holds = 1; holds && at <= count; at = next_of(at, count, most)) {
                holds = lie_once(e, &r, which, (lie)l, at, 0);
                if (holds) holds = lie_once(e, &r, which, (lie)l, at, 1);
            }
        }
        reference_end(&r);
    }
    tell_figures();
}

static void losses_lie(void) { lie_in_every_way(ON_LOSS); }
static void gradients_lie(void) { lie_in_every_way(ON_GRADIENT); }
static void products_lie(void) { lie_in_every_way(ON_HESSIAN); }
static void logits_lie(void) { lie_in_every_way(ON_LOGITS); }
static void statistics_lie(void) { lie_in_every_way(ON_STATISTIC); }
static void spectral_functions_lie(void) { lie_in_every_way(ON_SPECTRUM); }

/* Lies that the library promises to detect. */
static void lies_that_are_named(void) {
    static const struct {
        lie l;
        prun_status status;
        const char *message;
    } known[5] = {{LIE_NAN, PRUN_ERR_NONFINITE, "loss"},
                  {LIE_INFINITE, PRUN_ERR_NONFINITE, "loss"},
                  {LIE_SUM, PRUN_ERR_CALLBACK, "sum"},
                  {LIE_SUM_NAN, PRUN_ERR_CALLBACK, "sum"},
                  {LIE_SILENT, PRUN_ERR_NONFINITE, "loss"}};
    static world w;
    int i;
    for (i = 0; i < 5; i++) {
        prun_prunability found;
        prun_prune_options options;
        prun_status status;
        if (!world_make(&w, SERIAL)) return;
        options = prune_options(&w);
        w.which = ON_LOSS;
        w.at = 1;
        w.lie = known[i].l;
        status = CALL(&w, prun_prunability_search(&w.objective, &options, &found));
        if (!CHECK(status == known[i].status) ||
            !CHECK(status == PRUN_OK || strstr(w.own.message, known[i].message) != NULL))
            printf("  lie %d gave %d: %s\n", (int)known[i].l, (int)status, w.own.message);
        world_end(&w);
    }
}

/* Cancels or fails one call, with tensors that have no names. Returns whether there was such a
   call. */
static int stop_nameless(const exercise *e, callback which, int64_t at) {
    static world w;
    prun_tensor nameless[16];
    int64_t i, calls;
    prun_status status;
    if (!world_make(&w, SERIAL)) return 0;
    memcpy(nameless, w.objective.tensors, (size_t)w.objective.tensor_count * sizeof nameless[0]);
    for (i = 0; i < w.objective.tensor_count; i++) {
        nameless[i].name = NULL;
    }
    w.objective.tensors = nameless;
    w.which = which;
    w.at = at;
    status = run(&w, e);
    calls = w.calls[which];
    if (calls >= at) {
        CHECK(status == (which == ON_PROGRESS ? PRUN_ERR_CANCELLED : PRUN_ERR_CALLBACK));
        if (!CHECK(strstr(w.own.message, "(null)") == NULL))
            printf("  %s: %s\n", e->function, w.own.message);
    }
    world_end(&w);
    return calls >= at;
}

/* A user's objective may omit the names of its tensors. */
static void nameless_tensors(void) {
    int i;
    for (i = 0; i < EXERCISES; i++) {
        const int64_t step = exercises[i].flags & LONG ? 7 : 1;
        int64_t at;
        if (exercises[i].flags & (CHANGES | SUCCEEDS)) continue;
        for (at = 1; test_failures < TEST_SHOWN && stop_nameless(&exercises[i], ON_PROGRESS, at);
             at += step) {
        }
        stop_nameless(&exercises[i], ON_LOSS, 1);
    }
}

/* ---- stopped training ---- */

/* Training cancelled after n epochs leaves the net as n epochs of training make it. */
static void cancelled_training_keeps_its_state(void) {
    static world w;
    int stop;
    for (stop = 1; stop <= 2; stop++) {
        prun_train_options options;
        prun_epoch epochs[2];
        prun_trainer *trainer;
        uint64_t digest;
        int i;
        if (!world_make(&w, SERIAL)) return;
        options = train_options(&w);
        w.which = ON_EPOCH;
        w.at = stop;
        CHECK(CALL(&w, prun_train(w.net, &w.images, &options, epochs)) == PRUN_ERR_CANCELLED);
        CHECK(epochs[stop - 1].epoch == stop);
        trained_result(&w);
        digest = w.digest;
        world_again(&w);
        trainer = make_trainer(&w);
        for (i = 0; i < stop; i++) {
            CHECK(prun_trainer_run_epoch(trainer, &epochs[0]) == PRUN_OK);
        }
        prun_trainer_free(trainer);
        trained_result(&w);
        CHECK(w.digest == digest);
        world_end(&w);
    }
}

/* A step whose loss is not finite changes no weight and writes no result. */
static void training_that_diverges(void) {
    static const int64_t index[4] = {0, 1, 2, 3};
    static world w;
    prun_trainer *trainer;
    prun_epoch *epoch;
    double *sum;
    int64_t *errors, count;
    int i;
    if (!world_make(&w, SERIAL)) return;
    trainer = make_trainer(&w);
    prun_net_trained_tensors(w.net, &count);
    prun_net_trained_tensors(w.net, &count)[count - 1].data[0] = NAN; /* the last bias */
    sum = OUT(&w, double, 1);
    errors = OUT(&w, int64_t, 1);
    epoch = OUT(&w, prun_epoch, 1);
    CHECK(CALL(&w, prun_trainer_step(trainer, index, 4, .1, sum, errors)) == PRUN_ERR_NONFINITE);
    CHECK(CALL(&w, prun_trainer_run_epoch(trainer, epoch)) == PRUN_ERR_NONFINITE);
    CHECK(strstr(w.own.message, "epoch 1, batch 1") != NULL);
    for (i = 0; i < 3; i++) {
        if (!CHECK(output_untouched(&w.outputs[i]))) printf("  output %d\n", i);
    }
    prun_trainer_free(trainer);
    world_end(&w);
}

/* Weights that are not finite, and so losses that are not. */
static void weights_that_are_not_finite(void) {
    static world w;
    int i, l;
    for (i = 0; i < EXERCISES; i++) {
        for (l = 0; l < 2; l++) {
            prun_status status;
            int32_t k;
            if ((exercises[i].flags & SOUND) || !world_make(&w, SERIAL)) continue;
            w.objective.tensors[0].data[1] = l == 0 ? NAN : HUGE_VALF;
            copy_tensors(w.net, w.weights, 0);
            status = exercises[i].use(&w);
            if (!CHECK(known_status(status)) || !CHECK(w.own.message[0] != '\0'))
                printf("  %s\n", exercises[i].function);
            for (k = 0; status != PRUN_OK && k < w.output_count; k++) {
                if (!CHECK(w.outputs[k].kind == LOOSE || w.outputs[k].kind == BEGUN ||
                           output_untouched(&w.outputs[k])))
                    printf("  %s: output %d (status %d)\n", exercises[i].function, (int)k,
                           (int)status);
            }
            if (!(exercises[i].flags & (CHANGES | SUCCEEDS)) ||
                (status != PRUN_OK && !(exercises[i].flags & CHANGES)))
                if (!CHECK(!w.weights_changed)) printf("  %s\n", exercises[i].function);
            world_end(&w);
        }
    }
}

/* A clock that goes backwards changes no value. */
static void clock_goes_backwards(void) {
    static world w;
    int64_t count, i, step;
    prun_measures(&count);
    for (step = -1; step < 1; step++) {
        prun_measure_result *found;
        prun_measure_options options;
        if (!world_make(&w, SERIAL)) return;
        options = measure_options(&w);
        clock_step = step < 0 ? -5 : NAN;
        found = (prun_measure_result *)calloc((size_t)count, sizeof *found);
        CHECK(CALL(&w, prun_measure_all(&w.plain, NULL, &options, found)) == PRUN_OK);
        for (i = 0; i < count; i++) {
            if (!CHECK(found[i].seconds >= 0)) break;
        }
        free(found);
        world_end(&w);
    }
}

/* ---- huge sizes: an error status, no crash, and no absurd request to the allocator ---- */

static void huge_networks(void) {
    static const int64_t sizes[6] = {(int64_t)1 << 30, (int64_t)1 << 31, (int64_t)1 << 40,
                                     (int64_t)1 << 60, INT64_MAX / 8,    INT64_MAX};
    int i, family, field;
    for (i = 0; i < 6; i++) {
        for (family = 0; family < 3; family++) {
            for (field = 0; field < 2; field++) {
                static world w;
                prun_net *net = NULL;
                prun_arch arch;
                prun_status status;
                if (!world_make(&w, SERIAL)) return;
                memset(&arch, 0, sizeof arch);
                arch.family = (prun_family)family;
                arch.width = field == 0 ? sizes[i] : 4;
                arch.classes = field == 1 ? sizes[i] : 10;
                status = prun_net_create_family(w.context, &arch, &net);
                CHECK(status == PRUN_ERR_MEMORY || status == PRUN_ERR_OVERFLOW ||
                      status == PRUN_ERR_ARGUMENT || status == PRUN_ERR_SHAPE);
                CHECK(prun_message(w.context)[0] != '\0');
                world_end(&w);
            }
        }
    }
}

static void huge_layers(void) {
    static const int64_t sizes[4] = {(int64_t)1 << 31, (int64_t)1 << 40, (int64_t)1 << 62,
                                     INT64_MAX};
    int i;
    for (i = 0; i < 4; i++) {
        static world w;
        prun_net *net = NULL;
        prun_conv2d conv;
        int32_t v;
        if (!world_make(&w, SERIAL)) return;
        CHECK(prun_net_create(w.context, 1, 8, 8, &net) == PRUN_OK);
        v = prun_layer_conv2d(net, PRUN_INPUT, "conv", sizes[i], 3, 1, 1);
        v = prun_layer_linear(net, v, "fc", sizes[i], 1);
        CHECK(prun_net_finish(net, v, 1) != PRUN_OK);
        CHECK(prun_message(w.context)[0] != '\0');
        prun_net_free(net);
        CHECK(prun_lanes_size(sizes[i], sizes[i], sizes[i], 3) == -1);
        memset(&conv, 0, sizeof conv);
        conv.in_channels = conv.in_height = conv.in_width = sizes[i];
        conv.out_channels = conv.kernel[0] = 3;
        conv.padding[0] = conv.padding[1] = conv.padding[2] = conv.padding[3] = sizes[i];
        if (sizes[i] > (int64_t)1 << 60) { /* input and padding do not fit into 64 bits */
            int64_t height, width;
            CHECK(prun_conv2d_output(w.context, &conv, &height, &width) != PRUN_OK);
        }
        world_end(&w);
    }
}

static const test_case cases[] = {
    TEST_CASE(every_function_is_here),
    TEST_CASE(quiet_functions_ask_for_nothing),
    TEST_CASE(memory_refused_to_one_thread),
    TEST_CASE(memory_refused_under_a_hook),
    TEST_CASE(memory_refused_under_openmp),
    TEST_CASE(memory_refused_without_context),
    TEST_CASE(callbacks_fail_in_one_thread),
    TEST_CASE(callbacks_fail_under_a_hook),
    TEST_CASE(callbacks_fail_under_openmp),
    TEST_CASE(losses_lie),
    TEST_CASE(gradients_lie),
    TEST_CASE(products_lie),
    TEST_CASE(logits_lie),
    TEST_CASE(statistics_lie),
    TEST_CASE(spectral_functions_lie),
    TEST_CASE(lies_that_are_named),
    TEST_CASE(nameless_tensors),
    TEST_CASE(clock_goes_backwards),
    TEST_CASE(cancelled_training_keeps_its_state),
    TEST_CASE(training_that_diverges),
    TEST_CASE(weights_that_are_not_finite),
    TEST_CASE(huge_networks),
    TEST_CASE(huge_layers),
};

int main(int argc, char **argv) {
    read_functions();
    return FILES_MAIN("test_failures", cases, argc, argv);
}
