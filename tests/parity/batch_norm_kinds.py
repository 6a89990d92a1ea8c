"""The kinds of families/norms.npz that are batch normalization: plain, conditional and self-modulated."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from goldens import Case, Suite, nchw, nhwc, run_as_program
from layer_calls import AJBROCK, STUDIOGAN, ajbrock_changes, ajbrock_vectors, compare_calls

from flaxgan.nn.batch_moments import standing_statistics
from flaxgan.nn.generator_norm import ClassModulatedLatent
from flaxgan.nn.norms import BatchNorm, ConditionalBatchNorm, LinearConditionalBatchNorm, SelfModulatedBatchNorm

# Names of (scale, bias, mean, var) in the state_dicts.
TORCH = ("weight", "bias", "running_mean", "running_var")
AJBROCK_NATIVE = ("gain", "bias", "stored_mean", "stored_var")
AJBROCK_MYBN = ("gain", "bias", "bn.stored_mean", "bn.stored_var")

BRANCHES = {"gain": "gain", "offset": "bias"}  # Ours and the references' names of the two dense layers.

SELF_MOD_INPUTS = ("x_nhwc", "z", "labels", "E", "E_prime", "*_kernel", "*_bias", "moving_mean", "moving_variance")


def register(suite: Suite) -> None:
    """Adds the kinds to the suite of norms.npz."""
    suite.kind("bn_*", inputs=["sd/*"], notes=["running"])(run_batch_norm)
    suite.kind("ccbn_ajbrock_*", "cbn_studiogan_*", inputs=["sd/*", "cot"])(run_linear_conditional)
    suite.kind("cbn_mimicry*", inputs=["sd/*", "cot"])(run_conditional)
    suite.kind("self_mod_bn*", inputs=[*SELF_MOD_INPUTS, "cot_nhwc"], notes=["layout", "note"])(run_self_modulated)


def run_batch_norm(case: Case) -> None:
    """Two steps of training with evaluation before, between and after, and standing statistics."""
    names = next(names for names in (TORCH, AJBROCK_NATIVE, AJBROCK_MYBN) if f"sd/{names[2]}" in case.arrays)
    scale, bias, mean, var = (jnp.asarray(case.inputs("sd/")[name]) for name in names)
    eps, momentum = case.option("eps", 1e-5), case.option("momentum", 0.1)
    layer = BatchNorm(eps=eps, momentum=momentum, unbiased=names is not AJBROCK_MYBN)
    x1, x2, cot = (jnp.asarray(nhwc(case.shared(f"common/{key}"))) for key in ("x1", "x2", "cot"))

    def evaluate(stats, x=x1):
        return layer.apply({"params": {"scale": scale, "bias": bias}, "batch_stats": stats}, x)

    def train(stats, x, scale=scale, bias=bias):
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return layer.apply(variables, x, train=True, mutable=["batch_stats", "batch_moments"])

    def everything():
        start = {"mean": mean, "var": var}
        score = lambda *arguments: jnp.sum(train(start, *arguments)[0] * cot)
        y1, new1 = train(start, x1)
        y2, new2 = train(new1["batch_stats"], x2)
        standing = standing_statistics(new["batch_moments"] for new in (new1, new2))
        activations = {
            "eval0": evaluate(start),
            "train1": y1,
            "eval1": evaluate(new1["batch_stats"], x2),
            "train2": y2,
            "eval2": evaluate(new2["batch_stats"]),
            "standing_eval": evaluate(standing),
        }
        gradients = jax.grad(score, argnums=(0, 1, 2))(x1, scale, bias)
        return activations, gradients, (new1["batch_stats"], new2["batch_stats"], standing)

    activations, gradients, statistics = run_as_program(everything)
    found = {key: nchw(y) for key, y in activations.items()}
    found |= {"train1_grad_x": nchw(gradients[0])}
    found |= {"train1_grad_weight": gradients[1], "train1_grad_bias": gradients[2]}
    for folder, stats in zip(("sd_after1", "sd_after2", "sd_standing"), statistics, strict=True):
        found |= {f"{folder}/{names[2]}": stats["mean"], f"{folder}/{names[3]}": stats["var"]}
    batches = case.arrays.get("sd_standing/bn.accumulation_counter", np.ones(1))
    found["sd_standing/bn.accumulation_counter"] = np.full(1, 2.0)  # The reference keeps sums, and divides later.
    found |= {key: array * batches for key, array in found.items() if key.startswith("sd_standing/bn.stored")}
    for key in case.arrays:
        if not case.is_input(key):
            case.compare(key, found[key])


def run_linear_conditional(case: Case) -> None:
    """x_hat (1 + y A) + y B, where y is not stored: it is found from the output in evaluation mode."""
    studiogan = case.name.startswith("cbn_studiogan")
    running = ("bn.running_mean", "bn.running_var") if studiogan else ("stored_mean", "stored_var")
    if "sd/bn.stored_mean" in case.arrays:
        running = ("bn.stored_mean", "bn.stored_var")
    weight = "weight_orig" if "sd/gain.weight_orig" in case.arrays else "weight"
    statistics = "instance" if "_in_" in case.name else "batch" if f"sd/{running[0]}" in case.arrays else "none"
    spectral = AJBROCK if case.keys("sd/*.u0") else STUDIOGAN if case.keys("sd/*.weight_u") else None
    layer = LinearConditionalBatchNorm(
        statistics=statistics,
        eps=1e-4 if studiogan else 1e-5,
        unbiased="mybn" not in case.name,
        spectral=spectral,
    )

    def variables(state):
        kernels = {ours: {"kernel": state[f"{theirs}.{weight}"].T} for ours, theirs in BRANCHES.items()}
        found = {"params": kernels}
        if statistics != "none":
            found["batch_stats"] = dict(zip(("mean", "var"), (state[name] for name in running), strict=True))
        if spectral is AJBROCK:
            found["spectral"] = {ours: ajbrock_vectors(state, theirs) for ours, theirs in BRANCHES.items()}
        elif spectral:
            vectors = lambda name: {"u": state[f"{name}.weight_u"], "v": state[f"{name}.weight_v"]}
            found["spectral"] = {ours: vectors(theirs) for ours, theirs in BRANCHES.items()}
        return found

    def changes(state, new):
        stats = new.get("batch_stats")
        found = dict(zip(running, (stats["mean"], stats["var"]), strict=True)) if stats else {}
        for ours, vectors in new.get("spectral", {}).items():
            if spectral is AJBROCK:
                found |= ajbrock_changes(state, BRANCHES[ours], vectors)
            else:
                found[f"{BRANCHES[ours]}.weight_u"] = vectors["u"]
        return found

    def call(state, inputs, train):
        return _call(layer, variables(state), inputs, train, lambda new: changes(state, new))

    x, state = case.shared("common/x1"), case.inputs("sd/")
    width = state[f"gain.{weight}"].shape[1]

    def evaluate(y):
        return call(state, {"x": x, "y": jnp.broadcast_to(y, (x.shape[0], width))}, False)[0]

    # [1 + Y, N, C, H, W]: the output is affine in y, sample by sample.
    at_zero, *at_units = run_as_program(lambda: [evaluate(y) for y in np.eye(1 + width, width, -1, dtype=x.dtype)])
    slopes = np.stack([np.asarray(at_unit - at_zero, np.float64) for at_unit in at_units], axis=-1)
    rest = case.arrays["eval/out"] - np.asarray(at_zero, np.float64)
    solve = lambda slope, rest: np.linalg.lstsq(slope.reshape(-1, width), rest.ravel(), rcond=None)[0]
    y = np.stack([solve(*sample) for sample in zip(slopes, rest, strict=True)]).astype(x.dtype)
    compare_calls(case, call, {"x": x, "y": y}, case.input("cot"))


def run_conditional(case: Case) -> None:
    """A gain and an offset for each class. The labels are not stored: they are those that fit the evaluation best."""
    state, x = case.inputs("sd/"), case.shared("common/x1")
    layer = ConditionalBatchNorm(num_classes=state["embed.weight"].shape[0])

    def call(state, inputs, train):
        stats = {"mean": state["bn.running_mean"], "var": state["bn.running_var"]}
        variables = {"params": {"embed": {"embedding": state["embed.weight"]}}, "batch_stats": stats}
        names = {"bn.running_mean": "mean", "bn.running_var": "var"}
        changes = lambda new: {theirs: new["batch_stats"][ours] for theirs, ours in names.items()} if new else {}
        return _call(layer, variables, inputs, train, changes)

    def evaluate(label):
        return call(state, {"x": x, "y": jnp.full(x.shape[0], label)}, False)[0]

    outputs = run_as_program(lambda: jnp.stack([evaluate(label) for label in range(layer.num_classes)]))
    distances = np.max(np.abs(outputs - case.arrays["eval/out"]), axis=(2, 3, 4))  # [K, N]
    compare_calls(case, call, {"x": x, "y": np.argmin(distances, axis=0)}, case.input("cot"))


def _call(layer: nn.Module, variables, inputs, train, changes):
    """The layer on an image in the reference's layout, as `layer_calls.Call`."""
    x = jnp.moveaxis(jnp.asarray(inputs["x"]), 1, -1)
    mutable = [name for name in variables if name != "params"] if train else []
    y, new = layer.apply(variables, x, inputs["y"], train=train, mutable=mutable)
    return jnp.moveaxis(y, -1, 1), changes(new)


def run_self_modulated(case: Case) -> None:
    """gamma(z) x_hat + beta(z), for z itself and for z modulated by the class."""
    eps, momentum = case.option("eps"), 1 - case.option("decay")
    layer = SelfModulatedBatchNorm(hidden=case.option("hidden"), eps=eps, momentum=momentum, unbiased=False)
    dense = lambda name: {"kernel": case.input(f"{name}_kernel"), "bias": case.input(f"{name}_bias")}
    params = {name: dense(name) for name in ("hidden", "gamma", "beta")}
    stats = {"mean": case.input("moving_mean"), "var": case.input("moving_variance")}
    embeddings = {"offset": {"embedding": case.input("E")}, "gain": {"embedding": case.input("E_prime")}}
    modulation = ClassModulatedLatent(num_classes=case.arrays["E"].shape[0])
    x, z, cot = jnp.asarray(case.input("x_nhwc")), jnp.asarray(case.input("z")), case.input("cot_nhwc")
    latents = {
        "": lambda z: z,
        "cond_": lambda z: modulation.apply({"params": embeddings}, z, case.input("labels")),
    }

    def train(x, z, latent):
        variables = {"params": params, "batch_stats": stats}
        y, new = layer.apply(variables, x, latent(z), train=True, mutable=["batch_stats"])
        return jnp.sum(y * cot), (y, new["batch_stats"])

    def everything():
        found = {"cond_z": latents["cond_"](z)}
        for name, latent in latents.items():
            gradients, (y, new) = jax.grad(train, argnums=(0, 1), has_aux=True)(x, z, latent)
            found |= {f"{name}train": y, f"{name}train_grad_x": gradients[0], f"{name}train_grad_z": gradients[1]}
            found[f"{name}eval"] = layer.apply({"params": params, "batch_stats": stats}, x, latent(z))
            found |= {"moving_mean_after": new["mean"], "moving_variance_after": new["var"]}
        return found

    for key, value in run_as_program(everything).items():
        case.compare(key, value)
