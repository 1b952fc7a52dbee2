"""PyTorch models with examples/prunability.py, against brute force in torch, dense Hessians in
double precision and the library's own networks; state that must not change; messages.

    python3 tests/peers/torch_module.py LIBRARY MEASURE DATA

LIBRARY: the shared library; MEASURE: the program; DATA: folder of the project's images. The last
line is "torch_module: N passed, N failed".
"""
import copy
import csv
import importlib.util
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune  # noqa: F401: it is used as nn.utils.prune

from torch_zoo import (MobileNet, Recurrent, Tied, ViT, brute_force, load_images, modular_cnn,
                       perceptron, train)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "examples"), os.path.join(ROOT, "examples", "pytorch")]
os.environ["PRUNABILITY_LIBRARY"] = sys.argv[1]

import prunability as P  # noqa: E402

passed = failed = 0


def check(name, holds, *what):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {name}", *what)


def near(name, found, wanted, relative):
    check(name, found == wanted or abs(found - wanted) <= relative * abs(wanted),
          f"{found!r}, should be {wanted!r}")


def raises(name, kind, text, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as error:
        check(name, text in str(error), f"says {str(error)!r}, not {text!r}")
    except BaseException as error:  # of another kind
        check(name, False, f"raised {type(error).__name__}: {error}")
    else:
        check(name, False, "raised nothing")


# ---- oracles and comparisons ---------------------------------------------------------------------


def dense_hessian(model, x, y, names):
    """The Hessian of the mean loss in double precision over the named parameters."""
    model = copy.deepcopy(model).double().eval()
    chosen = [p for name, p in model.named_parameters() if name in names]
    loss = F.cross_entropy(model(x.double()), y)
    flat = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, chosen, create_graph=True)])
    rows = []
    for i in range(flat.numel()):
        row = torch.autograd.grad(flat[i], chosen, retain_graph=True)
        rows.append(torch.cat([g.reshape(-1) for g in row]))
    return torch.stack(rows)


def pooled(maps):
    """Maxima of 4 x 4 windows, a row for each sample."""
    rows, columns = (max(size // 4, 1) for size in maps.shape[2:])
    windows = [maps[:, :, 4 * r:4 * r + 4, 4 * c:4 * c + 4].amax((2, 3))
               for r in range(rows) for c in range(columns)]
    return torch.stack(windows, -1).flatten(1)


def davies_bouldin(rows, labels):
    rows, classes = rows.double(), labels.unique().tolist()
    centroids = [rows[labels == c].mean(0) for c in classes]
    spreads = [(rows[labels == c] - m).norm(dim=1).mean() for c, m in zip(classes, centroids)]
    k = range(len(classes))
    return np.mean([max(float((spreads[i] + spreads[j]) / (centroids[i] - centroids[j]).norm())
                        for j in k if j != i) for i in k])


def mixup_error(model, x, labels):
    """Over all pairs of one label: mean over labels of their error rates."""
    errors = []
    for c in labels.unique().tolist():
        part = x[labels == c]
        pairs = torch.combinations(torch.arange(len(part)))
        if len(pairs):
            mixed = (part[pairs[:, 0]] + part[pairs[:, 1]]) / 2
            errors.append((model(mixed).argmax(1) != c).double().mean().item())
    return np.mean(errors)


def relative_flatness(hessian, weight):
    """Sum over rows s and t of <w_s, w_t> times the trace of their block of the Hessian."""
    blocks = hessian.reshape(*weight.shape, *weight.shape)
    traces = blocks.diagonal(dim1=1, dim2=3).sum(-1)
    return float((traces * (weight @ weight.T)).sum())


def snapshot(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}, \
        {name: (module.training, type(module)) for name, module in model.named_modules()}, \
        {name: None if p.grad is None else p.grad.clone()
         for name, p in model.named_parameters()}, \
        {name: p.data_ptr() for name, p in model.named_parameters()}, \
        {name: list(module._forward_hooks.items()) for name, module in model.named_modules()}


def same_bits(a, b):
    view = {2: torch.int16, 4: torch.int32, 8: torch.int64, 1: torch.uint8}[a.element_size()]
    return a.shape == b.shape and torch.equal(a.reshape(-1).view(view), b.reshape(-1).view(view))


def check_unchanged(name, model, before):
    tensors, flags, gradients, places, hooks = before
    now = snapshot(model)
    check(f"{name}: weights and buffers", all(same_bits(now[0][k], v) for k, v in tensors.items()))
    check(f"{name}: training flags", now[1] == flags)
    check(f"{name}: gradients", all((now[2][k] is None) == (g is None) and
                                    (g is None or same_bits(now[2][k], g))
                                    for k, g in gradients.items()))
    check(f"{name}: the same memory", now[3] == places)
    check(f"{name}: hooks", now[4] == hooks)


def random_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


# ---- tests ---------------------------------------------------------------------------------------


def search_is_brute_force(name, model, x, y, weights, grid=25):
    before, states = snapshot(model), random_states()
    found = P.prunability(model, (x, y), grid=grid, progress=False)
    wanted, losses, base = brute_force(model, x, y, weights, grid)
    check(f"{name}: prunability", round(found.kept_fraction * grid) == wanted,
          f"{found.kept_fraction * grid}, should be {wanted}")
    count = sum(p.numel() for n, p in model.named_parameters() if n in weights)
    check(f"{name}: weights", found.prunable == count, found.prunable, count)
    near(f"{name}: base loss", found.base_loss, base, 1e-9)
    near(f"{name}: loss there", found.answers[0].loss, losses[-1], 1e-6)
    check(f"{name}: random states", random_states() == states)
    check_unchanged(name, model, before)
    curve = P.loss_curve(model, (x, y), grid=5, progress=False)
    near(f"{name}: the end of the curve", curve.losses[-1], base, 1e-9)
    check_unchanged(f"{name}, curve", model, before)


def networks_and_brute_force(x, y):
    torch.manual_seed(1)
    net = train(MobileNet(), x, y)
    search_is_brute_force("MobileNet", net, x, y,
                          ["stem.0.weight", "expand.weight", "depthwise.weight", "project.weight",
                           "head.weight"])
    for p in net.parameters():
        p.grad = torch.full_like(p, .5)
    search_is_brute_force("MobileNet in training mode, with gradients", net.train(), x[:200],
                          y[:200],
                          ["stem.0.weight", "expand.weight", "depthwise.weight", "project.weight",
                           "head.weight"])
    net.requires_grad_(False)
    net.head.requires_grad_(True)
    search_is_brute_force("only the last layer", net, x[:200], y[:200], ["head.weight"])
    net = train(Recurrent(), x, y)
    search_is_brute_force("LSTM", net, x[:400], y[:400],
                          [f"lstm.weight_{a}h_l{i}" for i in range(2) for a in "ih"] +
                          ["head.weight"])
    net = train(ViT(), x, y)
    weights = ["patches.weight", "attention.in_proj_weight", "attention.out_proj.weight",
               "mlp.0.weight", "mlp.3.weight", "head.weight"]
    search_is_brute_force("ViT", net, x[:400], y[:400], weights)
    tokens = torch.randint(10, (300, 6), generator=torch.Generator().manual_seed(3))
    labels = tokens.sum(1) % 10
    net = train(Tied(), tokens, labels)
    search_is_brute_force("tied weights", net, tokens, labels, ["inside.weight"])
    net = perceptron(torch.float64)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), .1)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(x.double()), y).backward()
        optimizer.step()
    search_is_brute_force("float64", net, x.double()[:300], y[:300], ["1.weight", "3.weight"])
    half = copy.deepcopy(net).to(torch.bfloat16)
    before = snapshot(half)
    result = P.prunability(half, (x[:100].bfloat16(), y[:100]), grid=10, progress=False)
    check("bfloat16: prunability", 0 < result.kept_fraction <= 1)
    check_unchanged("bfloat16", half, before)
    transposed = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    transposed[1].weight.data = torch.randn(784, 10).mul_(.05).t()
    search_is_brute_force("weights with other strides", transposed, x[:200], y[:200], ["1.weight"])


def ranked_by_hand(model, x, y, scores, fractions):
    """Mean losses if the smallest scores are pruned first, ties by smaller magnitude, then by
    higher index."""
    model = copy.deepcopy(model).eval()
    weights = [dict(model.named_parameters())[name] for name in scores]
    flat = torch.cat([w.detach().reshape(-1) for w in weights]).numpy()
    keys = np.concatenate([np.asarray(part).reshape(-1) for part in scores.values()])
    order = np.lexsort((np.arange(len(flat)), -np.abs(flat), -keys))
    losses = []
    for fraction in fractions:
        pruned = np.zeros_like(flat)
        kept = order[:math.floor(fraction * len(flat) + .5)]
        pruned[kept] = flat[kept]
        at = 0
        with torch.no_grad():
            for w in weights:
                w.copy_(torch.from_numpy(pruned[at:at + w.numel()]).reshape(w.shape))
                at += w.numel()
            losses.append(F.cross_entropy(model(x).double(), y).item())
    return losses


def scores_by_autograd(model, x, y, names):
    """Scores of `prune_scores` in double precision, but for curvature and random ones."""
    model = copy.deepcopy(model).double().eval()
    chosen = [dict(model.named_parameters())[name] for name in names]
    single = []
    for i in range(len(x)):
        loss = F.cross_entropy(model(x[i:i + 1].double()), y[i:i + 1])
        single.append([g.numpy() for g in torch.autograd.grad(loss, chosen)])
    found = {name: {} for name in ("magnitude", "taylor", "fisher", "lamp")}
    for k, (name, w) in enumerate(zip(names, chosen)):
        w = w.detach().numpy()
        gradients = np.stack([g[k] for g in single])
        squares = np.sort(w.reshape(-1) ** 2)
        tails = np.cumsum(squares[::-1])[::-1]
        found["magnitude"][name] = np.abs(w)
        found["taylor"][name] = np.abs(w * gradients.mean(0))
        found["fisher"][name] = w ** 2 * (gradients ** 2).mean(0)
        found["lamp"][name] = w ** 2 / tails[np.searchsorted(squares, w ** 2)]
    return found


def scores_fractions_and_intervals(x, y):
    x, y = x[:150], y[:150]
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(1, 3, 5, 3), nn.Tanh(), nn.ConvTranspose2d(3, 4, 2, groups=1),
                        nn.AvgPool2d(3), nn.Flatten(), nn.Linear(36, 10))
    train(net, x, y, 150)
    names = ["0.weight", "2.weight", "5.weight"]
    fractions = [.05, .13, .4, .41, .8]
    before, states = snapshot(net), random_states()
    wanted = scores_by_autograd(net, x, y, names)
    for score in ("magnitude", "taylor", "fisher", "curvature", "lamp", "random"):
        found = P.prune_scores(net, (x, y), score, batch=64, progress=False)
        check(f"{score} scores: names and shapes", list(found) == names and all(
            found[name].shape == tuple(net.state_dict()[name].shape) for name in names))
        for name in names if score in wanted else []:
            check(f"{score} scores of {name}", np.allclose(
                found[name], wanted[score][name], rtol=1e-3, atol=1e-5 * found[name].max()))
        curve = P.loss_curve(net, (x, y), scores=found, fractions=fractions, progress=False)
        check(f"{score} scores: a curve", np.allclose(
            curve.losses, ranked_by_hand(net, x, y, found, fractions), rtol=1e-5) and
            np.array_equal(curve.kept_fractions, fractions), curve.losses)
        search = P.prunability(net, (x, y), scores=found, beta=.3, progress=False)
        named = f"prunability_{score}" if score != "magnitude" else "prunability"
        if score != "random":
            near(f"{score} scores: the measure", P.measure(
                net, (x, y), only=named, beta=.3, progress=False)[named].value,
                search.kept_fraction, 0)
    check_unchanged("scores", net, before)
    check("scores: random states", random_states() == states)
    tensors = {name: torch.from_numpy(value) for name, value in found.items()}
    one = P.prunability(net, (x, y), scores=found, progress=False)
    check("scores in tensors", P.prunability(net, (x, y), scores=tensors, progress=False).answers ==
          one.answers)
    plain = P.prunability(net, (x, y), beta=[.05, .3], progress=False)
    check("no interval unless it is asked for", all(
        math.isnan(v) for a in plain.answers for v in a[-3:]) and "interval" not in str(plain))
    found = P.prunability(net, (x, y), beta=[.05, .3], resamples=300, progress=False)
    check("an interval changes nothing else", [a[:-3] for a in found.answers] ==
          [a[:-3] for a in plain.answers])
    check("an interval", all(0 <= a.lower <= a.upper <= 1 and 0 <= a.standard_error < .5 and
                             a.lower <= a.kept_fraction + .05 and a.upper >= a.kept_fraction - .05
                             for a in found.answers) and "95 % interval" in str(found), found)
    measured = P.measure(net, (x, y), only=["prunability", "prunability_lamp"], resamples=300,
                         beta=.3, progress=False)
    check("a measure's standard error", measured["prunability"].standard_error ==
          found.answers[1].standard_error and measured["prunability_lamp"].standard_error > 0)
    listed = P.prunability(net, (x, y), fractions=np.array([0, .01]), beta=.01, progress=False)
    check("the unpruned network is always a candidate", listed.kept_fraction == 1 and
          listed.answers[0].kept == listed.prunable)
    check("the list i/n is the grid n", P.prunability(
        net, (x, y), fractions=np.arange(41) / 40, progress=False).answers ==
        P.prunability(net, (x, y), grid=40, progress=False).answers)
    result = P.measure(net, (x, y), only="prunability", fractions=fractions, progress=False)
    check("a list for a measure", result["prunability"].value in fractions + [1])
    biased = P.prune_scores(net, (x, y), "taylor", include_biases=True, score_samples=40,
                            progress=False)
    check("scores with biases", list(biased) == [n for n, _ in net.named_parameters()])
    check("... rank them", P.prunability(net, (x, y), scores=biased, include_biases=True,
                                         progress=False).prunable == sum(
        p.numel() for p in net.parameters()))
    score_messages(net, (x, y), {name: value.numpy() for name, value in tensors.items()})


def score_messages(net, data, scores):
    def refused(text, kind=ValueError, **options):
        raises(f"scores: {text}", kind, text, P.prunability, net, data, progress=False, **options)
    refused("did you mean '2.weight'", scores={**scores, "2.weigth": 1})
    refused("has none for 2.weight", scores={k: v for k, v in scores.items() if k != "2.weight"})
    refused("has shape (3, 4, 2, 2), not (4, 3, 2, 2)", scores={
        **scores, "2.weight": scores["2.weight"].transpose(1, 0, 2, 3)})
    refused("one number for each", scores=np.zeros(7))
    refused("one number for each", scores="fisher")
    refused("exclude each other", P.Error, scores=scores, method="random")
    refused("of 5.weight[7]) is not a number", P.Error, scores={
        **scores, "5.weight": np.where(np.arange(360).reshape(10, 36) == 7, np.nan, 1)})
    refused("fractions[1] is 0.2", P.Error, fractions=[.3, .2])
    refused("1.5 is not in [0, 1]", P.Error, fractions=[.3, 1.5])
    refused("must be a list of numbers", TypeError, fractions=.3)
    refused("must be a list of numbers", TypeError, fractions=[])
    refused("resamples -1", P.Error, resamples=-1)
    refused("no option 'score'", TypeError, score=scores)
    raises("an unknown score", ValueError, "did you mean 'fisher'", P.prune_scores, net, data,
           "fischer")
    raises("resamples of a curve", TypeError, "no option 'resamples'", P.loss_curve, net, data,
           resamples=3)
    raises("steps of a diagonal", TypeError, "no option 'steps'", P.hessian_diagonal, net, data,
           steps=3)
    raises("too many samples of scores", P.Error, "samples", P.prune_scores, net, data,
           score_samples=1000, progress=False)


def diagonal_of_small_net(x, y):
    x, y = x[:100], y[:100]
    torch.manual_seed(2)
    net = nn.Sequential(nn.AvgPool2d(7), nn.ConvTranspose2d(1, 2, 2), nn.Tanh(), nn.Flatten(),
                        nn.Linear(50, 10))
    train(net, x, y, 100)
    for scope, names in (("weights", ["1.weight", "4.weight"]),
                         ("all", ["1.weight", "1.bias", "4.weight", "4.bias"])):
        dense = dense_hessian(net, x, y, names)
        exact = dense.diagonal().numpy()
        spread = ((dense ** 2).sum(1) - dense.diagonal() ** 2).sqrt().numpy()
        before = snapshot(net)
        for probes in (1, 200):
            found = P.hessian_diagonal(net, (x, y), scope=scope, probes=probes, progress=False)
            check_unchanged(f"diagonal, {scope}", net, before)
            check(f"diagonal, {scope}: names and shapes", list(found.values) == names and all(
                found.values[n].shape == found.standard_errors[n].shape ==
                tuple(net.state_dict()[n].shape) for n in names))
            values, errors = (np.concatenate([part[n].reshape(-1) for n in names])
                              for part in (found.values, found.standard_errors))
            check(f"diagonal, {scope}: {probes} probes", np.all(
                np.abs(values - exact) <= 6 * spread / math.sqrt(probes) + 1e-6))
            told, expected = np.sum(errors ** 2), np.sum(spread ** 2) / probes
            check(f"diagonal, {scope}: standard errors", np.isnan(errors).all() if probes == 1 else
                  .5 < told / expected < 2, told, expected)
    fewer = P.hessian_diagonal(net, (x, y), hessian_samples=30, probes=400, progress=False)
    exact = dense_hessian(net, x[:30], y[:30], ["1.weight", "4.weight"]).diagonal().numpy()
    near("diagonal of fewer samples", sum(v.sum() for v in fewer.values.values()), exact.sum(), .1)


def hessian_of_small_net(x, y):
    torch.manual_seed(2)
    net = nn.Sequential(nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 6), nn.Tanh(),
                        nn.Linear(6, 10))
    train(net, x, y, 200)
    x, y = x[:300], y[:300]
    for scope, names in (("weights", ("2.weight", "4.weight")),
                         ("all", ("2.weight", "2.bias", "4.weight", "4.bias"))):
        dense = dense_hessian(net, x, y, names)
        values = torch.linalg.eigvalsh(dense)
        k = len(values)
        before = snapshot(net)
        found = P.hessian(net, (x, y), scope=scope, steps=k, probes=8, batch=128, progress=False)
        check_unchanged(f"Hessian, {scope}", net, before)
        check(f"Hessian, {scope}: size", found.parameters == k)
        for i in range(3):
            near(f"Hessian, {scope}: eigenvalue {i}", found.eigenvalues[i], values[-1 - i].item(),
                 1e-4)
        check(f"Hessian, {scope}: trace", abs(found.trace - dense.trace().item()) <=
              4 * found.trace_error + 1e-6, found.trace, found.trace_error, dense.trace().item())
        for z in (1.0, .01):
            positive = values[values > 0]
            wanted = (positive / (positive + z)).sum().item()
            value, error = found.effective_dimensionality(z)
            check(f"Hessian, {scope}: N_eff({z})", abs(value - wanted) <= 4 * error + 1e-3 * wanted,
                  value, error, wanted)
        grid, density, _ = found.density()
        area = np.sum((density[1:] + density[:-1]) / 2 * np.diff(grid))
        near(f"Hessian, {scope}: the density's integral", area, 1, .02)
        check("it prints", "trace" in str(found) and repr(found) == str(found))
        again = pickle.loads(pickle.dumps(found))
        check("it can be pickled", again.effective_dimensionality() ==
              found.effective_dimensionality())
    result = P.measure(net, (x, y), only=["hessian_largest", "hessian_trace"], progress=False)
    near("hessian_largest", result["hessian_largest"].value,
         torch.linalg.eigvalsh(dense_hessian(net, x, y, ("2.weight", "4.weight")))[-1].item(), 1e-3)


def our_own_network(x, y, program, folder, data):
    """The library's CNN here and as a module of PyTorch."""
    import from_pytorch
    torch.manual_seed(7)
    net = modular_cnn(4)
    initial = copy.deepcopy(net.state_dict())
    small, y = F.pad(x[:160], (2, 2, 2, 2)), y[:160]
    train(net, small, y, 80)
    from_pytorch.save_safetensors(os.path.join(folder, "net.safetensors"), net.state_dict())
    from_pytorch.save_safetensors(os.path.join(folder, "initial.safetensors"), initial)
    for part in ("train", "test"):
        np.save(os.path.join(folder, f"{part}-images.npy"), small.numpy())
        np.save(os.path.join(folder, f"{part}-labels.npy"), y.numpy())
    names = ["prunability", "prunability_random", "parameters", "train_loss", "inverse_margin",
             "sum_of_frobenius", "frobenius_distance", "l2_distance", "prod_of_spectral",
             "spectral_distance", "perturbation_flatness", "pacbayes_orig", "gradient_noise_final",
             "negative_entropy", "hessian_largest", "hessian_trace", "effective_dimensionality"]
    close = ["relative_flatness", "relative_flatness_scaled", "davies_bouldin_early",
             "davies_bouldin_late", "davies_bouldin_last", "mixup_error",
             "davies_bouldin_times_mixup", "sharpness_ball_average",
             "sharpness_box_average_adaptive", "sharpness_ball_adaptive_normalized",
             "sharpness_box_adaptive_normalized", "sharpness_ball_average_adaptive_normalized",
             "reinitialization_error", "network_criticality"]
    names += close + ["sharpness_ball"]
    row = os.path.join(folder, "row.csv")
    subprocess.run([program, "--quiet", "--checkpoint", os.path.join(folder, "net.safetensors"),
                    "--initial", os.path.join(folder, "initial.safetensors"), "--npy", folder,
                    "--normalize", "none", "--pad-to", "0", "--only", ",".join(names), "--csv", row,
                    "--hessian-steps", "20", "--draws", "3", "--repetitions", "2", "--seed", "3"],
                   check=True, stdout=subprocess.DEVNULL)
    with open(row) as file:
        ours = next(csv.DictReader(file))
    before = snapshot(net)
    here = P.measure(net, (small, y), only=names, initial=initial, hessian_steps=20, draws=3,
                     repetitions=2, seed=3, progress=False)
    check_unchanged("own CNN", net, before)
    for name in names:
        found, wanted = here[name].value, float(ours[name])
        # searches must end on the same grid point, radii agree within their precision
        bound = 1e-12 if name.startswith("prun") else 1e-4 if name in close else .02 \
            if "orig" in name or "flat" in name else 2e-3
        near(f"own CNN: {name}", found, wanted, bound)


def same_representations(name, net, x, y, wanted):
    """wanted: the rows of all samples for every place that exists."""
    before, states = snapshot(net), random_states()
    objective = P.TorchObjective(net, (x, y), batch=32)
    check(f"{name}: places", set(objective.places) == set(wanted), set(objective.places))
    index = np.random.default_rng(1).permutation(len(x))[:75]
    with objective.running():
        for place, rows in wanted.items():
            found = objective._representation(place, index)
            check(f"{name}: {place}", found.shape == rows[index].shape and np.allclose(
                found, rows[index].detach().numpy(), rtol=1e-4, atol=1e-5))
        first, second = index[:40], index[35:]
        mixed = net((x[first] + x[second]) / 2)
        check(f"{name}: mixed logits", np.allclose(
            objective._mixed_logits(first, second), mixed.detach().numpy(), rtol=1e-4, atol=1e-5))
    check_unchanged(f"{name}: representations", net, before)
    check(f"{name}: random states", random_states() == states)


def kept_output(net, module, x):
    """What a module inside gives."""
    kept = []
    handle = module.register_forward_hook(lambda module, inputs, output: kept.append(output))
    net(x)
    handle.remove()
    return kept[0]


def representations(x, y):
    import from_pytorch
    x, y = x[:100], y[:100]
    torch.manual_seed(11)
    net = train(from_pytorch.CNN(2), F.pad(x, (2, 2, 2, 2)), y, 20)
    net.eval()
    z = F.pad(x, (2, 2, 2, 2))
    a = z
    for i in range(3):
        a = F.relu(getattr(net, f"bn{i}")(getattr(net, f"conv{i}")(a)))
        a = F.max_pool2d(a, 2) if i > 0 else a
    late = net.conv3(a)
    last = F.max_pool2d(F.max_pool2d(F.relu(net.bn3(late)), 2), 4).flatten(1)
    same_representations("CNN", net, z, y, {
        "early": pooled(net.conv0(z)), "late": pooled(late), "last": last})
    net = train(MobileNet(), x, y, 20).eval()
    same_representations("MobileNet", net, x, y, {
        "early": pooled(net.stem[0](x)), "late": pooled(kept_output(net, net.project, x)),
        "last": (net.stem(x) + net.norms[2](kept_output(net, net.project, x))).mean((2, 3))})
    net = train(perceptron(), x, y, 20).eval()
    same_representations("MLP", net, x, y, {"last": net[:3](x)})
    double = copy.deepcopy(net).double()
    same_representations("float64", double, x.double(), y, {"last": double[:3](x.double())})
    odd_representations(x, y)
    values_of_representations(x, y)
    without_places(x, y)


def odd_representations(x, y):
    torch.manual_seed(12)
    net = nn.Sequential(nn.Conv2d(1, 3, 5, bias=False), nn.ReLU(inplace=True), nn.AvgPool2d((9, 2)),
                        nn.Flatten(), nn.Linear(72, 10)).eval()
    same_representations("in place", net, x, y, {
        "early": pooled(net[0](x)), "late": pooled(net[:3](x)), "last": net[:4](x)})
    net = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 28, 28), nn.Flatten(), nn.Linear(56, 10))
    same_representations("one dimension", net.eval(), x, y, {
        "early": net[:2](x).flatten(1), "late": net[:2](x).flatten(1), "last": net[:3](x)})
    net = nn.Sequential(nn.Linear(28, 12), nn.Tanh(), nn.Conv2d(1, 4, 4, 4), nn.Flatten(),
                        nn.Linear(84, 10))
    nn.utils.parametrizations.spectral_norm(net[0])
    nn.utils.parametrizations.spectral_norm(net[2])
    same_representations("parametrizations", net.eval(), x, y, {
        "early": pooled(net[:3](x)), "late": pooled(net[:3](x)), "last": net[:4](x)})


def values_of_representations(x, y):
    """With 100 samples, the measures use all of them."""
    torch.manual_seed(13)
    net = train(nn.Sequential(nn.Conv2d(1, 3, 7, 3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 10)),
                x, y, 30).eval()
    only = ["davies*", "mixup_error", "relative_flatness"]
    found = P.measure(net, (x, y), only=only, progress=False)
    early = davies_bouldin(pooled(net[0](x)), y)
    wrong = mixup_error(net, x, y)
    for name, wanted in (("davies_bouldin_early", early), ("mixup_error", wrong),
                         ("davies_bouldin_last", davies_bouldin(net[:3](x), y)),
                         ("davies_bouldin_times_mixup", early * wrong)):
        near(f"values: {name}", found[name].value, wanted, 1e-5)
    net = train(perceptron(), x, y, 30).eval()
    found = P.measure(net, (x, y), only=only, progress=False)
    flat = relative_flatness(dense_hessian(net, x, y, ["3.weight"]), net[3].weight.double())
    near("relative flatness", found["relative_flatness"].value, flat, 1e-4)
    scale = {factor: P.measure(net, (x, y), only="sharpness_ball", ball_scale=factor,
                               progress=False)["sharpness_ball"].value for factor in (1, .1)}
    check("ball_scale", scale[1] > 2 * scale[.1] > 0, scale)


class Twice(nn.Module):
    """A module that is called twice; `path` chooses what else happens."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(784, 10)

    def forward(self, z):
        if self.path == "conv":
            z = self.conv(self.conv(z))
        elif self.path == "few" and len(z) < 5:
            z = self.conv(z)
        rows = z.flatten(1)
        z = self.head(rows)
        if self.path == "softmax":
            return z.log_softmax(1)
        if self.path == "zeroed":
            rows.zero_()
        if self.path == "in place":
            return z.mul_(2)
        return z + self.head(torch.ones(784)) if self.path == "head" else z


def without_places(x, y):
    names = ["davies_bouldin_early", "davies_bouldin_late", "davies_bouldin_last",
             "relative_flatness"]
    torch.manual_seed(14)
    for path, places in (("conv", {"last"}), ("head", set()), ("softmax", set()),
                         ("in place", set()), ("zeroed", {"last"}), ("few", {"early", "last"})):
        net = Twice(path)
        before = snapshot(net)
        objective = P.TorchObjective(net, (x, y))
        check(f"{path}: places", set(objective.places) == places, objective.places)
        result = P.measure(net, (x, y), only=names, progress=False)
        check(f"{path}: undefined", all(math.isnan(result[name].value) for name in names[:2]))
        check(f"{path}: the last layer", math.isnan(result[names[2]].value) == (
            "last" not in places) == math.isnan(result[names[3]].value), result)
        note = "another path" if path == "few" else "called once"
        check(f"{path}: its note", note in result[names[0]].note, result[names[0]].note)
        check_unchanged(f"{path}: places", net, before)


def last_weights(x, y):
    """Relative flatness where the last layer's weight is not one that the library changes."""
    x, y = x[:100], y[:100]
    net = train(perceptron(), x, y, 30)
    plain = P.measure(net, (x, y), only="relative*", progress=False)
    frozen, norm, masked, zeros = (copy.deepcopy(net) for _ in range(4))
    frozen[3].requires_grad_(False)
    nn.utils.weight_norm(norm[3])
    nn.utils.prune.l1_unstructured(masked[3], "weight", .5)
    with torch.no_grad():
        zeros[3].weight *= masked[3].weight_mask
    reverse = Reverse()
    for name, model, options in (("frozen", frozen, {}), ("of a weight norm", norm, {}),
                                 ("left out", net, dict(prunable="1.weight")),
                                 ("not the last of its size", reverse, {})):
        before = snapshot(model)
        result = P.measure(model, (x, y), only=["relative*", "davies_bouldin_last"],
                           progress=False, **options)
        check(f"the last weight {name}", all(
            math.isnan(result[key].value) and "last layer's weight" in result[key].note
            for key in plain), result)
        check(f"... its rows, {name}", result["davies_bouldin_last"].value > 0)
        check_unchanged(f"the last weight {name}", model, before)
    results = [P.measure(model, (x, y), only="relative*", progress=False)
               for model in (masked, zeros)]
    for key in plain:
        check(f"{key}, ordinary", plain[key].value > 0)
        near(f"{key}, masked", results[0][key].value, results[1][key].value, 1e-6)


class Reverse(nn.Module):
    """The last layer first, and another weight of its size."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(10, 10)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Tanh(), nn.Linear(10, 10))

    def forward(self, z):
        return self.head(self.body(z))


def mixed_inputs(x, y):
    x, y = x[:100], y[:100]
    only = ["mixup_error", "davies*", "relative*", "sharpness_b*", "reinit*", "network*"]

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(28, 10), nn.Linear(28, 10)

        def forward(self, a, b):
            return self.a(a.mean((1, 2))) + self.b(b.float().mean((1, 3)))
    net = Two()
    a, b = x.double().float(), x.flip(0)
    objective = P.TorchObjective(net, [(a, b, y)])
    first, second = np.arange(40), np.arange(60, 100)
    with objective.running():
        check("two inputs, mixed", np.allclose(objective._mixed_logits(first, second), net(
            (a[:40] + a[60:]) / 2, (b[:40] + b[60:]) / 2).detach().numpy(), atol=1e-5))
    result = P.measure(net, [(a, (b * 9).long(), y)], only=only, hessian_samples=50, draws=2,
                       initial=copy.deepcopy(net.state_dict()), progress=False)
    check("an input of integers is not mixed", math.isnan(result["mixup_error"].value) and
          "floating-point" in result["mixup_error"].note, result["mixup_error"])
    tokens = torch.randint(10, (100, 6), generator=torch.Generator().manual_seed(3))
    result = P.measure(Tied(), (tokens, y), only=only, progress=False)
    told = {m.note for m in result.values()}
    check("tokens are not mixed", math.isnan(result["mixup_error"].value) and
          any("floating-point" in note for note in told), told)
    check("notes of the new measures speak of arguments", not any(
        "prun_" in note or "callback" in note or "missing" in note for note in told), told)
    check("... and all that is undefined has one", all(
        m.note for m in result.values() if math.isnan(m.value)))
    own = P.measure(perceptron(), (x, y), only=only, initial=perceptron().state_dict(),
                    loss=lambda z, t: F.cross_entropy(z, t, reduction="none"), progress=False)
    for name in ("reinitialization_error", "network_criticality"):
        check(f"no error rate, no {name}", math.isnan(own[name].value) and
              "wrong" in own[name].note, own[name])
    check("no logits, no mixing", "needs logits" in own["mixup_error"].note)
    check("no logits, no normalized ones", "needs logits" in
          own["sharpness_ball_adaptive_normalized"].note)
    raises("a scale below zero", P.Error, "ball_scale", P.measure, perceptron(), (x, y),
           ball_scale=-1, progress=False)
    result = P.measure(torch.jit.script(modules_of_one()), (x, y), only=only, progress=False)
    check("a scripted module", result["mixup_error"].value >= 0 and
          math.isnan(result["davies_bouldin_last"].value), result)
    encoder = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 8), nn.Linear(8, 10))
    check("no hooks in encoder layers", P._leaf_modules(encoder) == [encoder[1]])


def modules_of_one():
    return nn.Sequential(nn.Conv2d(1, 2, 7, 7), nn.Flatten(), nn.Linear(32, 10))


def users_hooks(x, y):
    """Hooks of the user stay, and see every pass."""
    x, y = x[:100], y[:100]
    net, seen = modules_of_one(), []
    net[0].register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    net[2].register_forward_hook(lambda module, inputs, output: output * 3)
    before = snapshot(net)
    result = P.measure(net, (x, y), only=["davies*", "relative*"], progress=False)
    check("the user's hook is called", sum(seen) > 300, sum(seen))
    check_unchanged("hooks of the user", net, before)
    near("... and the layer before it", result["davies_bouldin_early"].value,
         davies_bouldin(pooled(net[0](x)), y), 1e-5)
    check("logits that a hook made are not the layer's",
          math.isnan(result["davies_bouldin_last"].value), result["davies_bouldin_last"])


class Interrupted(nn.Module):
    """Does something in the n-th forward pass."""

    def __init__(self, inner, at, act):
        super().__init__()
        self.inner, self.at, self.act, self.calls = inner, at, act, 0

    def forward(self, x):
        self.calls += 1
        if self.calls == self.at:
            self.act()
        return self.inner(x)


def fail():
    raise ZeroDivisionError("of the model")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def nothing_is_lost(x, y):
    x, y = x[:200], y[:200]
    for dtype, measure in ((d, m) for d in (torch.float32, torch.float64) for m in
                           ("prunability", "perturbation_flatness", "sharpness_flat",
                            "gradient_noise_final", "hessian_largest", "davies_bouldin_last",
                            "mixup_error")):
        for at in (1, 2, 4, 5, 9, 12, 14):
            for what, act, kind in ((f"{measure}, an error", fail, ZeroDivisionError),
                                    (f"{measure}, Ctrl-C", interrupt, KeyboardInterrupt)):
                net = Interrupted(perceptron(dtype), at, act).train()
                before, states = snapshot(net), random_states()
                try:
                    P.measure(net, (x.to(dtype), y), progress=False, batch=64, hessian_steps=3,
                              only=measure)
                    check(f"{what} in pass {at}", False, "nothing was raised")
                except kind as error:
                    trace, frames = error.__traceback__, []
                    while trace:
                        frames.append(trace.tb_frame.f_code.co_name)
                        trace = trace.tb_next
                    check(f"{what} in pass {at}: its traceback",
                          "forward" in frames or kind is KeyboardInterrupt, frames)
                check_unchanged(f"{what} in pass {at}, {dtype}", net, before)
                check(f"{what} in pass {at}: random states", random_states() == states)
                check("the handler is as it was",
                      signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    found = []
    thread = threading.Thread(target=lambda: found.append(P.prunability(perceptron(), (x, y),
                                                                        grid=10)))
    thread.start()
    thread.join(60)
    check("in a thread", len(found) == 1)
    raises("Ctrl-C between passes", KeyboardInterrupt, "", P.prunability, perceptron(), (x, y),
           progress=lambda name, done, total: interrupt())
    inputs = x.clone()
    P.prunability(nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(784, 10)), (x, y),
                  grid=4, progress=False)
    check("inputs of a model that works in place", torch.equal(x, inputs))
    handled = []
    signal.signal(signal.SIGINT, lambda number, frame: handled.append(number))
    net = Interrupted(perceptron(), 6, interrupt)
    before = snapshot(net)
    raises("a handler of one's own", P.Error, "interrupted", P.prunability, net, (x, y))
    check("... is called", handled == [signal.SIGINT])
    check_unchanged("a handler of one's own", net, before)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    net = perceptron(torch.float64)
    before, restore = snapshot(net), P._Parameter.restore

    def restore_and_interrupt(copy):
        interrupt()
        restore(copy)
    P._Parameter.restore = restore_and_interrupt
    raises("Ctrl-C at the end", KeyboardInterrupt, "", P.prunability, net, (x.double(), y), grid=4,
           progress=False)
    P._Parameter.restore = restore
    check_unchanged("Ctrl-C at the end", net, before)

    class Counting(nn.Module):
        """Buffers that change in eval mode, one in place and one anew."""

        def __init__(self):
            super().__init__()
            self.inner = perceptron()
            self.register_buffer("here", torch.zeros(2))
            self.register_buffer("anew", torch.zeros(2))

        def forward(self, z):
            self.here += 1
            self.anew = self.anew + 1
            return self.inner(z)
    net = Counting()
    before = snapshot(net)
    P.prunability(net, (x, y), grid=4, progress=False)
    check_unchanged("buffers", net, before)
    net = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(784, 10)))
    net(x)
    kept = net[1].weight.detach().clone()
    P.prunability(net, (x, y), grid=4, progress=False)
    check("what hooks keep in a module", torch.equal(net[1].weight, kept))
    net = train(perceptron(), x, y).double()
    objective = P.TorchObjective(net, (x.double(), y), second_order=True)
    index, v = np.arange(200), np.ones(objective.size, np.float32)
    with objective.running():
        wanted = objective._hessian_vector(index, v)
        weights = objective.parameters[0].array
        weights *= .5
        objective._losses(index, True)
        weights *= 2
        check("products after other weights", np.allclose(
            objective._hessian_vector(index, v), wanted, rtol=1e-4, atol=1e-3))
    new = {name: value * 2 for name, value in net.state_dict().items()}
    net.load_state_dict(new)
    P.prunability(objective, grid=4, progress=False)
    check("an objective used again has the new weights, and leaves them",
          all(torch.equal(value, new[name]) for name, value in net.state_dict().items()))
    near("... and measures them", P.loss_curve(objective, grid=1, progress=False).losses[1],
         F.cross_entropy(net(x.double()), y).item(), 1e-6)
    net = perceptron()
    objective = P.TorchObjective(net, (x, y))
    net[1].weight.data = net[1].weight.data.clone()
    raises("other memory", RuntimeError, "1.weight", P.prunability, objective, progress=False)
    net = Interrupted(perceptron(), 7, lambda: P.prunability(net, (x, y), progress=False))
    raises("a model measured within its own measurement", RuntimeError, "another call",
           P.prunability, net, (x, y), progress=False)

    class Stepping(nn.Module):
        """Its forward pass leaves gradients behind."""

        def __init__(self):
            super().__init__()
            self.inner = perceptron()

        def forward(self, z):
            with torch.enable_grad():
                self.inner(z).sum().backward()
            return self.inner(z)
    net = Stepping()
    net.inner[1].weight.grad = torch.ones_like(net.inner[1].weight)
    before = snapshot(net)
    P.prunability(net, (x, y), grid=4, progress=False)
    check_unchanged("backward() in forward()", net, before)


def odd_models(x, y):
    """Transposed convolutions, masks, sparse gradients, outputs and labels of other shapes."""
    x, y = x[:120], y[:120]
    for groups in (1, 2):
        torch.manual_seed(groups)
        net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=4), nn.Tanh(),
                            nn.ConvTranspose2d(4, 6, (2, 3), groups=groups), nn.Flatten(),
                            nn.Linear(6 * 8 * 9, 10))
        train(net, x, y, 30)
        kernel = net[2].weight
        objective = P.TorchObjective(net, (x, y), second_order=True)
        array = next(t.array for t in objective.tensors if t.name == "2.weight")
        check(f"a transposed kernel, {groups} groups", array.shape == (6, 4 // groups, 2, 3),
              array.shape)
        # the kernel as that of a convolution: output o of group g from input i of group g
        wanted = np.stack([kernel.detach().numpy()[o // (6 // groups) * (4 // groups):][
            :4 // groups, o % (6 // groups)] for o in range(6)])
        check("... in the order of a convolution's", np.array_equal(array, wanted))
        search_is_brute_force(f"a transposed convolution, {groups} groups", net, x, y,
                              ["0.weight", "2.weight", "4.weight"], grid=10)
        names = ["0.weight", "2.weight"]
        dense = dense_hessian(net, x, y, names)
        found = P.hessian(net, (x, y), prunable=names, eigenvalues=2, steps=60, probes=1,
                          progress=False)
        near("... its largest eigenvalue", found.eigenvalues[0],
             torch.linalg.eigvalsh(dense)[-1].item(), 1e-3)
        error = abs(found.trace - torch.trace(dense).item())
        check("... its trace", error < 4 * found.trace_error, found.trace, torch.trace(dense))
    net = train(perceptron(), x, y, 60)
    plain = copy.deepcopy(net)
    nn.utils.prune.l1_unstructured(net[1], "weight", .7)
    with torch.no_grad():
        plain[1].weight *= net[1].weight_mask
    before = snapshot(net)
    masked = P.prunability(net, (x, y), grid=20, progress=False)
    check("masked weights are zeros", masked.answers ==
          P.prunability(plain, (x, y), grid=20, progress=False).answers and
          any("masked" in note for note in masked.notes), masked)
    check_unchanged("masked weights", net, before)
    start = perceptron().state_dict()
    check("masked weights: the start before the mask", P.measure(
        net, (x, y), initial=start, only="l2_distance", progress=False)["l2_distance"].value > 0)
    torch.manual_seed(5)
    words = torch.randint(30, (120, 5))
    net = nn.Sequential(nn.Embedding(30, 8, sparse=True), nn.Flatten(), nn.Linear(40, 10))
    check("sparse gradients", P.sharpness_radius(
        net, (words, y), include_biases=True, steps=3, restarts=1, progress=False).radius > 0)
    scope = P.hessian(net, (words, y), scope="all", steps=5, probes=1, progress=False)
    check("... and curvature", scope.parameters == 30 * 8 + 410 and scope.eigenvalues[0] > 0)
    net = train(perceptron(), x, y, 60)
    wanted = P.prunability(net, (x, y), grid=20, progress=False).answers
    for name, labels in (("a column of labels", y[:, None]), ("one-hot integers", F.one_hot(y, 10)),
                         ("labels of bytes", y.to(torch.uint8))):
        check(name, P.prunability(net, (x, labels), grid=20, progress=False).answers == wanted)

    class Wrapped(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.inner, self.wrap = net, wrap

        def forward(self, z):
            return self.wrap(self.inner(z))
    for name, wrap in (("a tuple", lambda z: (z, 1)), ("a dictionary", lambda z: {"logits": z})):
        found = P.prunability(Wrapped(wrap), (x, y), grid=20, progress=False)
        check(f"outputs in {name}", found.answers == wanted)
    raises("a dictionary of something else", TypeError, "no logits", P.prunability,
           Wrapped(lambda z: {"a": z}), (x, y))
    own = P.prunability(Wrapped(lambda z: {"a": z}), (x, y), grid=20, progress=False,
                        loss=lambda out, t: F.cross_entropy(out["a"], t, reduction="none"))
    check("... with a loss of its own", own.kept_fraction == wanted[0].kept_fraction)
    tokens = torch.randint(11, (60, 6))
    language = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
    found = P.loss_curve(language, (tokens, tokens), grid=1, progress=False)
    near("tokens x classes", found.losses[1], F.cross_entropy(
        language(tokens).movedim(2, 1), tokens).item(), 1e-6)
    wrong = (language(tokens).argmax(2) != tokens).any(1).float().mean().item()
    near("... and their errors", found.error_rates[1], wrong, 1e-12)
    raises("labels of another shape", ValueError, "samples x (10,)", P.prunability, net,
           (x, torch.zeros(120, 3, dtype=torch.long)))

    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = perceptron()

        def forward(self, z):
            with torch.no_grad():
                return self.inner(z)
    for function in (P.hessian, P.sharpness_radius):
        raises("a loss cut off from the parameters", ValueError, "no_grad", function, Cut(), (x, y))
    cut = P.measure(Cut(), (x, y), skip="perturb*", grid=5, draws=2, progress=False)
    check("... leaves what needs no gradients", cut["prunability"].value >= 0 and
          math.isnan(cut["hessian_trace"].value) and
          "gradient" in cut["hessian_trace"].note and any("no_grad" in n for n in cut.notes),
          cut["hessian_trace"], cut.notes)


def twins():
    """Two parameters over one memory, as `a.weight.data = b.weight.data` makes them."""
    net = nn.Sequential(nn.Linear(28, 28, bias=False), nn.Linear(28, 28, bias=False))
    net[1].weight.data = net[0].weight.data
    return net


def families(x, y):
    """Measures chosen by family."""
    net = perceptron()
    data = (x[:50], y[:50])
    norms = P.measure(net, data, only="norms", progress=False)
    check("a family", "sum_of_frobenius" in norms and "normalized_margin_median" not in norms and
          "prunability" not in norms, list(norms))
    few = P.measure(net, data, only=["norms", "train_loss"], skip=["norms"], progress=False)
    check("a family left out", list(few) == ["train_loss"], list(few))


def messages(x, y, folder):
    net = perceptron()
    data = (x[:100], y[:100])
    raises("a misspelt option", TypeError, "did you mean 'draws'", P.measure, net, data, drawz=3)
    raises("a misspelt option of a search", TypeError, "did you mean 'repetitions'", P.prunability,
           net, data, repetition=3)
    raises("an option of another type", TypeError, "must be an integer", P.prunability, net, data,
           grid=2.5)
    raises("a misspelt measure", ValueError, "did you mean 'prunability'", P.measure, net, data,
           only="prunabillity")
    raises("a misspelt method", ValueError, "magnitude, random", P.prunability, net, data,
           method="magnitud")
    raises("an option out of range", P.Error, "grid", P.prunability, net, data, grid=-4)
    raises("inputs alone", ValueError, "no labels", P.prunability, net, x[:100])
    raises("a loader without labels", ValueError, "no labels", P.prunability, net,
           torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[:100]), 10))
    raises("a dictionary without labels", ValueError, "labels", P.prunability, net,
           [{"input": x[:100]}])
    raises("float labels", TypeError, "cross-entropy needs integers", P.prunability, net,
           (x[:100], y[:100].float()))
    raises("labels too large", ValueError, "10 outputs", P.prunability, net, (x[:100], y[:100] + 5))
    raises("inputs of another type", RuntimeError, "", P.prunability, net,
           (x[:100].double(), y[:100]))
    raises("no batches", ValueError, "used up", P.prunability, net, iter([]))
    raises("memory", ValueError, "memory=1000", P.prunability, net, data, memory=1000)
    raises("no module", TypeError, "torch.nn.Module", P.prunability, "net", data)
    raises("no loader", TypeError, "loader", P.prunability, net)
    raises("another loss", ValueError, "cross_entropy", P.prunability, net, data,
           loss="crossentropy")
    raises("a reduced loss", ValueError, "one loss for each", P.prunability, net, data,
           loss=lambda z, t: F.cross_entropy(z, t))
    raises("initial without a tensor", ValueError, "has no '3.weight'", P.measure, net, data,
           initial={k: v.clone() for k, v in net.state_dict().items() if k != "3.weight"})
    raises("an unknown kind", ValueError, "not one of", P.prunability, net, data,
           prunable={"1.weight": "kernel"})
    raises("an unknown name", ValueError, "no trained parameter", P.prunability, net, data,
           prunable=["2.weight"])
    raises("nothing to prune", ValueError, "There are: 0.weight", P.prunability,
           nn.Sequential(nn.Embedding(5, 10)), (y[:100, None] % 5, y[:100, None]))
    raises("two parameters over one memory", ValueError, "over the same memory", P.prunability,
           twins(), (x[:100, 0, 0], y[:100]))
    raises("no samples", ValueError, "no samples", P.prunability, net, (x[:0], y[:0]))
    spoilt_inputs = x[:100].clone()
    spoilt_inputs[7, 0, 3, 3] = math.nan
    raises("NaN inputs", ValueError, "sample 7", P.prunability, net, (spoilt_inputs, y[:100]))
    raises("the model's own weights as initial", ValueError, "deepcopy", P.measure, net, data,
           initial=net.state_dict())
    raises("losses below zero", ValueError, "nonnegative", P.prunability, net, data,
           loss=lambda z, t: F.cross_entropy(z, t, reduction="none") - 5, nonnegative=True)
    raises("inputs and labels apart", ValueError, "magnitude, random", P.prunability, net, *data)
    raises("an option of the model misspelt", TypeError, "did you mean 'samples'", P.prunability,
           net, data, sample=5)
    raises("a tolerance of a curve", TypeError, "no option 'beta'", P.loss_curve, net, data, beta=1)
    for name, kind, given in (("loss", ValueError, dict(loss=3)),
                              ("loss", ValueError, dict(loss=nn.CrossEntropyLoss())),
                              ("memory", ValueError, dict(memory="1G")),
                              ("prunable", TypeError, dict(prunable=3)),
                              ("initial", TypeError, dict(initial=3)),
                              ("history", TypeError, dict(history=3)),
                              ("history", TypeError, dict(history=["x"])),
                              ("no measure", TypeError, dict(only=3))):
        raises(f"{name}: {given}", kind, name if name != "history" else "must be", P.measure, net,
               data, progress=False, **given)
    curvature = P.hessian(net, data, steps=3, probes=1, progress=False)
    raises("z below zero", ValueError, "positive", curvature.effective_dimensionality, 0)
    raises("a density at a number", ValueError, "grid", curvature.density, [[1]])
    told = {m.note for m in P.measure(net, (x[:100], torch.zeros(100, 10)), loss="mse", only="*",
                                      grid=4, draws=2, hessian_steps=4, hessian_probes=2,
                                      progress=False).values()}
    check("notes speak of arguments", not any("prun_" in note or "callback" in note or
                                              "missing" in note for note in told), told)
    raises("nothing to train", ValueError, "requires_grad", P.prunability,
           copy.deepcopy(net).requires_grad_(False), data)
    spoilt = copy.deepcopy(net)
    spoilt[1].weight.data[3, 5] = math.nan
    raises("NaN weights", P.Error, "1.weight[2357]", P.measure, spoilt, data, progress=False)
    dropping = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    dropping.forward = lambda z: F.dropout(nn.Sequential.forward(dropping, z))
    raises("dropout left on", ValueError, "random", P.prunability, dropping, data)
    with open(sys.argv[1], "rb") as file:
        library = file.read()
    version = P.VERSION.encode() + b"\0"
    for name, old, new, text in (
            ("another version", version, b"9.9.9\0", "is version 9.9.9"),
            ("another type of a field", b"int64_t[PRUN_MAX_RANK]\0", b"uint64_t[PRUN_MAX_RANK\0",
             "prun_tensor.shape"),
            ("another name of a field", b"kept_fraction\0", b"kopt_fraction\0", "kept_fraction")):
        path = os.path.join(folder, f"{name.replace(' ', '_')}.so")
        with open(path, "wb") as file:
            file.write(library.replace(old, new))
        check(f"{name} can be made", old in library)
        if text:
            raises(f"a library with {name}", P.LibraryError, text, P.Library, path)
    raises("no library", P.LibraryError, "is not a library for this machine", P.Library, __file__)


def loaders(x, y):
    from torch.utils.data import DataLoader, Dataset, TensorDataset
    net = train(perceptron(), x, y, 200)
    x, y = x[:100], y[:100]
    wanted = P.prunability(net, (x, y), grid=20, progress=False)
    for name, loader in (("a DataLoader", DataLoader(TensorDataset(x, y), 16)),
                         ("a Dataset", TensorDataset(x, y)),
                         ("a list of batches", [(x[:40], y[:40]), (x[40:], y[40:])]),
                         ("a generator", ((x[i:i + 10], y[i:i + 10]) for i in range(0, 100, 10))),
                         ("arrays", (x.numpy(), y.numpy())),
                         ("dictionaries", [{"input": x, "labels": y}]),
                         ("int32 labels", (x, y.int()))):
        found = P.prunability(net, loader, grid=20, progress=False)
        check(name, found.answers == wanted.answers, found.answers, wanted.answers)

    class Noisy(Dataset):
        def __len__(self):
            return 50

        def __getitem__(self, i):
            return x[i] + torch.randn(1), y[i]
    torch.manual_seed(1)
    states = random_states()
    found = P.prunability(net, DataLoader(Noisy(), 10, shuffle=True), grid=4, progress=False)
    check("shuffling is told", any("shuffles" in note for note in found.notes), found.notes)
    check("augmentation is told", any("augments" in note for note in found.notes), found.notes)
    check("neither changes random states", random_states() == states)
    part = P.prunability(net, DataLoader(TensorDataset(x, y), 16), samples=50, grid=20,
                         progress=False)
    check("the first samples", part.answers == P.prunability(net, (x[:50], y[:50]), grid=20,
                                                             progress=False).answers)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(28, 10), nn.Linear(28, 10)

        def forward(self, a, b):
            return self.a(a.mean((1, 2))) + self.b(b.mean((1, 3)))
    search_two = P.prunability(Two(), [(x, x, y)], grid=5, progress=False)
    check("two inputs", search_two.prunable == 560)
    raises("batches of other tensors", ValueError, "the first was", P.prunability, net,
           [(x, y), (x, y, y)])
    pieces = [{"input": x[:50], "labels": y[:50]}, {"labels": y[50:], "input": x[50:]}]
    found = P.prunability(net, pieces, grid=20, progress=False)
    check("dictionaries in another order", found.answers == wanted.answers)
    places = nn.Conv2d(1, 10, 1)
    labels = torch.randint(10, (100, 28, 28))
    labels[:, :9] = -100
    found = P.measure(places, (x, labels), only="train_loss", progress=False)["train_loss"].value
    near("positions without a label", abs(found), F.cross_entropy(places(x), labels).item(), 1e-5)
    unknown = P.measure(net, (x, y), loss=lambda z, t: F.cross_entropy(z, t, reduction="none"),
                        only=["dropout_bound", "train_loss"], progress=False)
    check("no error rate, no bound on it", math.isnan(unknown["dropout_bound"].value) and
          "wrong" in unknown["dropout_bound"].note)
    raises("displacement of no error rate", ValueError, "error rate", P.perturbation_radius, net,
           (x, y), loss=lambda z, t: F.cross_entropy(z, t, reduction="none"), displacement=.1)
    raises("a number too large", ValueError, "does not fit", P.measure, net, (x, y),
           draws=2**64 + 3)
    raises("a number below zero", ValueError, "does not fit", P.measure, net, (x, y), seed=-1)
    tiny = nn.Sequential(nn.Flatten(), nn.AvgPool1d(784), nn.Linear(1, 2))
    check("fewer weights than eigenvalues", len(P.hessian(
        tiny, (x, y % 2), probes=1, progress=False).eigenvalues) == 2)
    mean = P.measure(net, (x, torch.randn(100, 10)), loss="mse", only=["train_loss", "prunability"],
                     grid=5, progress=False)
    check("mean squares", mean["train_loss"].value != 0)
    own = P.prunability(net, (x, y), loss=lambda z, t: F.cross_entropy(z, t, reduction="none"),
                        grid=20, progress=False)
    check("a user's loss", own.kept_fraction == wanted.kept_fraction)
    quick = P.prunability(net, (x, y), loss=lambda z, t: F.cross_entropy(z, t, reduction="none"),
                          nonnegative=True, grid=20, progress=False)
    check("... ends early if told so", quick.passes < own.passes, quick.passes, own.passes)
    check("a user's loss has no error rates", np.isnan(P.loss_curve(
        net, (x, y), loss=lambda z, t: F.cross_entropy(z, t, reduction="none"), grid=2,
        progress=False).error_rates).all())
    curve = P.loss_curve(net, (x, y), grid=2, progress=False)
    soft = P.loss_curve(net, (x, F.one_hot(y, 10).float()), grid=2, progress=False)
    check("probabilities as labels", np.array_equal(curve.error_rates, soft.error_rates) and
          np.allclose(curve.losses, soft.losses), curve, soft)
    check("no tolerance", P.prunability(net, (x, y), beta=0, progress=False).answers[0].threshold ==
          wanted.base_loss)
    with torch.autocast("cpu", torch.bfloat16):
        found = P.loss_curve(net, (x, y), grid=4, progress=False)
    check("autocast sees the pruned weights", np.allclose(found.losses, P.loss_curve(
        net, (x, y), grid=4, progress=False).losses, rtol=.05), found.losses)
    with torch.inference_mode():
        made = x * 1
        found = P.hessian(net, (made, y), steps=3, probes=1, progress=False)
    near("inference mode", found.eigenvalues[0], P.hessian(
        net, (x, y), steps=3, probes=1, progress=False).eigenvalues[0], 1e-6)
    lengths = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(784, 10)))
    check("weight norm: its directions alone", P.prunability(
        lengths, (x, y), grid=4, progress=False).prunable == 7840)

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return zip(x, y)
    check("an iterable dataset", P.prunability(net, Stream(), grid=20, progress=False).answers ==
          wanted.answers)
    one = P.prunability(net, (x, y), grid=20, prunable=["1.w*"], progress=False)
    check("one layer", one.prunable == 784 * 16, one.prunable)
    two = P.prunability(net, (x, y), grid=20, prunable=lambda name, p: p.dim() == 2 and "3" in name,
                        progress=False)
    check("chosen by a function", two.prunable == 160, two.prunable)
    import gc
    import weakref
    gc.collect()
    gc.disable()
    copy_of = copy.deepcopy(net)
    P.prunability(copy_of, (x, y), grid=4, progress=False)
    gone = weakref.ref(copy_of)
    del copy_of
    check("nothing holds the model", gone() is None)
    gc.enable()
    # forked workers after the library has used threads
    signal.alarm(120)
    loader = DataLoader(TensorDataset(x, y), 10, num_workers=2,
                        multiprocessing_context="fork")
    check("forked workers", sum(len(part[1]) for part in loader) == 100)
    check("... and a search from them", P.prunability(net, loader, grid=20,
                                                      progress=False).answers == wanted.answers)
    signal.alarm(0)


def results(x, y):
    net = perceptron()
    x, y = x[:100], y[:100]
    initial = copy.deepcopy(net.state_dict())
    train(net, x, y, 30)
    result = P.measure(net, (x, y), skip=["effective*", "hessian*", "sharpness*"], initial=initial,
                       history=[2.3, 1.2, .7], grid=20, draws=2, progress=False)
    check("measures that need our networks are left out, once",
          sum("library's own layers" in note for note in result.notes) == 1, result.notes)
    check("all others are there", len(result) > 30 and
          all(m.note for m in result.values() if math.isnan(m.value)),
          [name for name, m in result.items() if math.isnan(m.value) and not m.note])
    near("sum of train losses", result["sum_of_train_losses"].value, -4.2, 1e-6)
    check("steps that were not given", math.isnan(result["steps_to_0.1"].value) and
          "steps in history" in result["steps_to_0.1"].note, result["steps_to_0.1"])
    dated = P.measure(net, (x, y), only="training", history=[
        dict(loss=2.3, steps=10), dict(loss=.05, steps=20)], progress=False)
    check("steps that were given", dated["steps_to_0.1"].value == 20, dated)
    check("patterns leave out what needs our networks", not any(
        "operator" in name for name in P.measure(net, (x, y), only="norms", progress=False)))
    raises("no grid", ValueError, "positive", P.prunability, net, (x, y), grid=0)
    check("it prints", all(name in str(result) for name in result))
    check("names of measures", set(result) < set(P.measures()) and all(P.measures().values()))
    row = result.to_row(gap=.1)
    check("a row", row["gap"] == .1 and row["prunability"] == result["prunability"].value)
    check("a dictionary", result.to_dict()["prunability"]["value"] == row["prunability"])
    if importlib.util.find_spec("pandas"):
        check("a frame", result.to_frame().loc["prunability", "value"] == row["prunability"])
    raises("a measure that was not asked for", KeyError, "was not measured", lambda: result["x"])
    generator = np.random.default_rng(1)
    frame = {"gap": generator.normal(size=40), "width": np.repeat([1, 2, 3, 4], 10),
             "name": ["a"] * 40}
    frame["good"] = frame["gap"] + .1 * generator.normal(size=40)
    frame["bad"] = -frame["gap"]
    table = P.evaluate(frame, hyper="width")
    check("evaluate", table["good"].tau > .7 and table["bad"].tau == -1 and
          table["good"].lower < table["good"].tau < table["good"].upper, table["good"])
    check("evaluate prints", "psi width" in str(table))
    try:
        from scipy import stats
        near("tau_b", table["good"].tau_b, stats.kendalltau(frame["good"], frame["gap"])[0], 1e-12)
    except ImportError:
        pass
    frame["seed"] = np.tile(np.arange(10), 4)
    clustered = P.evaluate(frame, hyper=["width"], seed_column="seed", measures=["good"])["good"]
    check("intervals of whole settings", clustered.tau == table["good"].tau and
          clustered.lower != table["good"].lower)
    groups = [P.evaluate({k: np.asarray(frame[k])[i * 10:i * 10 + 10] for k in ("gap", "good")})
              ["good"].tau for i in range(4)]
    pooled = P.evaluate(dict(frame, width=frame["seed"], of=frame["width"]), measures=["good"],
                        hyper=["width", "of"])["good"]
    near("psi", pooled.psi["width"], np.mean(groups), 1e-12)
    raises("a column of mixed cells", ValueError, "text", P.evaluate,
           {"gap": [1, 2], "a": [1, "x"]}, measures=["a"])
    rows = [{"gap": g, "good": v} for g, v in zip(frame["gap"], frame["good"])]
    check("evaluate of rows", P.evaluate(rows)["good"].tau == table["good"].tau)
    told = P.evaluate(dict(frame, test_error=frame["gap"], train_time=frame["good"]))
    check("evaluate: results are no measures", "test_error" not in told and "train_time" not in told
          and any("test_error, train_time" in note for note in told.notes) and
          any("too few" in note for note in told.notes), told.notes)
    holes = P.evaluate(dict(frame, empty=[math.nan] * 40, same=[3] * 40))
    check("evaluate: why columns are left out", list(holes) == ["width", "good", "bad", "seed"]
          and any("empty is left out: it is defined for 0 models" in n for n in holes.notes)
          and any("same is left out: it is 3 for all models" in n for n in holes.notes),
          holes.notes)
    raises("evaluate: an unknown column", ValueError, "did you mean 'width'", P.evaluate, frame,
           hyper="widht")


def objective_of_arrays():
    """Least squares, by hand: f = |A w - b|^2 per row."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(50, 6)), generator.normal(size=50)
    w = generator.normal(size=(2, 3)).astype(np.float32)
    objective = P.Objective(
        [P.Tensor("w", w, "weight")], lambda i: (a[i] @ w.reshape(-1).astype(float) - b[i]) ** 2,
        50, gradient=lambda i: 2 * a[i].T @ (a[i] @ w.reshape(-1) - b[i]),
        hessian_vector=lambda i, v: 2 * a[i].T @ (a[i] @ v), nonnegative=True)
    found = P.hessian(objective, steps=6, probes=2, eigenvalues=2, progress=False)
    values = np.linalg.eigvalsh(2 * a.T @ a / 50)
    near("least squares: the largest eigenvalue", found.eigenvalues[0], values[-1], 1e-5)
    before = w.copy()
    radius = P.perturbation_radius(objective, draws=3, progress=False)
    check("least squares: a radius", radius.state == "found" and radius.radius > 0, radius)
    check("least squares: weights", np.array_equal(before, w))
    result = P.measure(objective, progress=False, grid=10)
    near("least squares: loss", result["train_loss"].value if result["train_loss"].direction >= 0
         else -result["train_loss"].value,
         np.mean((a @ w.reshape(-1).astype(float) - b) ** 2), 1e-6)
    raises("an array of doubles", TypeError, "float32", P.Objective,
           [P.Tensor("w", a, "weight")], None, 50)
    raises("an unknown place", ValueError, "early, late, last", P.Objective,
           [P.Tensor("w", w, "weight")], None, 50, representation=print, places={"first": 3})


def regression_of_arrays(x, y):
    """A linear classifier by hand, and as a module."""
    x, y = x[:100], y[:100]
    net = train(nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False)), x, y, 20)
    rows, labels = x.flatten(1).numpy(), y.numpy()
    w = net[1].weight.detach().numpy().copy()

    def loss(index):
        z = rows[index] @ w.T.astype(float)
        top = z.max(1)
        return np.log(np.exp(z - top[:, None]).sum(1)) + top - z[np.arange(len(z)), labels[index]]
    objective = P.Objective(
        [P.Tensor("w", w, "weight")], loss, 100, logits=lambda index: rows[index] @ w.T,
        labels=labels, classes=10, representation=lambda place, index: rows[index],
        places={"last": 784}, mixed_logits=lambda a, b: (rows[a] + rows[b]) / 2 @ w.T,
        gradient=lambda index: np.zeros_like(w))
    only = ["relative*", "davies*", "mixup_error", "sharpness_ball_adaptive_normalized"]
    ours, theirs = (P.measure(*given, only=only, progress=False)
                    for given in ((objective,), (net, (x, y))))
    for name in ("relative_flatness", "davies_bouldin_last", "mixup_error"):
        near(f"a classifier of arrays: {name}", ours[name].value, theirs[name].value, 1e-5)
    check("... has no early place", math.isnan(ours["davies_bouldin_early"].value))
    check("... and no gradient of normalized logits", "module of PyTorch" in
          ours["sharpness_ball_adaptive_normalized"].note)


def main():
    x, y = load_images(sys.argv[3], 600)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    networks_and_brute_force(x, y)
    scores_fractions_and_intervals(x, y)
    diagonal_of_small_net(x, y)
    hessian_of_small_net(x, y)
    nothing_is_lost(x, y)
    odd_models(x, y)
    representations(x, y)
    last_weights(x, y)
    mixed_inputs(x, y)
    users_hooks(x, y)
    loaders(x, y)
    results(x, y)
    objective_of_arrays()
    regression_of_arrays(x, y)
    with tempfile.TemporaryDirectory() as folder:
        families(x, y)
        messages(x, y, folder)
        our_own_network(x, y, sys.argv[2], folder, sys.argv[3])
    print(f"torch_module: {passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
