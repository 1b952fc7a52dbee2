// A C++ program: a network in a unique_ptr, its own loss as a lambda behind the C callback.
#include "../../prunability.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

struct free_net {
    void operator()(prun_net *net) const { prun_net_free(net); }
};

struct quadratic {
    std::vector<float> weights;
    prun_tensor tensor;
};

static prun_status loss(const prun_objective *objective, const int64_t *, int64_t n, double *losses,
                        double *sum, int64_t *wrong) {
    const quadratic *q = static_cast<const quadratic *>(objective->user);
    double value = 1;
    for (float w : q->weights) {
        value += (static_cast<double>(w) - 1) * (static_cast<double>(w) - 1);
    }
    for (int64_t i = 0; losses != nullptr && i < n; i++) {
        losses[i] = value;
    }
    if (sum != nullptr) {
        *sum = value * static_cast<double>(n);
    }
    if (wrong != nullptr) {
        *wrong = 0;
    }
    return PRUN_OK;
}

static int search() {
    quadratic q;
    q.weights.assign(10, 1.0f);
    q.weights[3] = 0.01f; // the only weight whose loss gains from pruning, by very little
    q.tensor = prun_tensor();
    q.tensor.data = q.weights.data();
    q.tensor.name = "w";
    q.tensor.rank = 1;
    q.tensor.shape[0] = 10;
    q.tensor.flags = PRUN_TENSOR_WEIGHT;
    prun_objective objective = prun_objective();
    objective.user = &q;
    objective.tensors = &q.tensor;
    objective.tensor_count = 1;
    objective.samples = 3;
    objective.nonnegative = 1;
    objective.loss = loss;
    prun_prune_options options = prun_prune_options();
    options.grid = 10;
    prun_prunability result = prun_prunability();
    if (prun_prunability_search(&objective, &options, &result) != PRUN_OK) {
        return 10;
    }
    return result.answer[0].kept == 9 ? 0 : 11;
}

int main() {
    prun_arch arch = prun_arch();
    arch.family = PRUN_FAMILY_CNN;
    arch.width = 1;
    arch.classes = 4;
    prun_net *raw = nullptr;
    if (prun_net_create_family(nullptr, &arch, &raw) != PRUN_OK) {
        return 1;
    }
    std::unique_ptr<prun_net, free_net> net(raw);
    int64_t count = 0;
    const prun_tensor *tensors = prun_net_tensors(net.get(), &count);
    if (count < 1 || std::string(tensors[0].name) != "conv0.weight") {
        return 2;
    }
    return search();
}
