"""PGGAN against families/pggan_torch.npz, numbers of two PyTorch ports (akanimax/pro_gan_pytorch, pengge).

The weights of both are scaled before they are ours: akanimax's all by sqrt(2 / fan_in), pengge's by factors of their
own. Both average pixels after the activation. Akanimax's first layer is a transposed convolution of a single pixel,
pengge's a padded convolution, and their last two are convolutions of the whole map: dense layers here.
"""

import math
from typing import Any, NamedTuple

import growing_states as states
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case, Suite, hwio, nchw, nhwc, run_as_program

from flaxgan.networks import pggan
from flaxgan.ops.resampling import box_downsample
from flaxgan.types import Gan

suite = Suite(__name__, float32=2e-4, float64=1e-6)
INPUTS = ["sd/*", "z", "x", "*/cot"]


class Run(NamedTuple):
    """One run: its keys' prefix, and our stage and alpha."""

    prefix: str
    stage: int
    alpha: float


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("akanimax*", inputs=INPUTS)
def run_akanimax(case: Case):
    options = case.option("cfg")
    state = case.inputs("sd/")
    stages = options["depth"] - 1
    scaled = {name: _he_scaled(array, name) for name, array in state.items()}
    g_names = {f"rgb_converters.{i}": f"torgb{4 << i}" for i in range(stages)}
    g_names |= {f"layers.{i}.conv_{j + 1}": f"b{4 << i}/conv{j}" for i in range(stages) for j in (0, 1)}
    g_names["layers.0.conv_1"] = "b4/fc"
    images = range(stages - 1, -1, -1)  # D counts from the image.
    d_names = {f"from_rgb.{i}.0": f"fromrgb{4 << index}" for i, index in enumerate(images)}
    blocks = list(enumerate(images[:-1]))
    d_names |= {f"layers.{i}.conv_{j + 1}": f"b{4 << index}/conv{j}" for i, index in blocks for j in (0, 1)}
    d_names |= {f"layers.{stages - 1}.conv_{j + 1}": f"b4/{name}" for j, name in enumerate(("conv", "fc", "out"))}
    gan = _build(case, 2 ** options["depth"], options["fb"], options["fm"], mbstd_group_size=4)
    case.check("the latents are the options'", (options["N"], options["z"]) == case.input("z").shape)
    runs = [Run(f"depth{depth}_alpha{alpha:g}", depth - 2, alpha) for depth, alpha in options["runs"]]
    _compare(case, gan, _named(scaled, "G.", g_names), _named(scaled, "D.", d_names), runs)


@suite.kind("pengge*", inputs=INPUTS, notes=["order"])
def run_pengge(case: Case):
    options = case.option("cfg")
    state = case.inputs("sd/")
    scaled = _pengge_scaled(case, state)
    stages = int(math.log2(options["res"])) - 1
    chain = lambda index, layer: f"output_layer.chain.{index}.{layer}"
    g_names = {f"output_layer.post.{i}.0": f"torgb{4 << i}" for i in range(stages)}
    g_names |= {chain(i, layer): f"b{4 << i}/conv{j}" for i in range(stages) for j, layer in enumerate((1, 5))}
    g_names[chain(0, 1)] = "b4/fc"
    images = range(stages - 1, -1, -1)
    d_names = {f"output_layer.inputs.{i}.0": f"fromrgb{4 << index}" for i, index in enumerate(images)}
    blocks = list(enumerate(images[:-1]))
    d_names |= {chain(i, n): f"b{4 << index}/conv{j}" for i, index in blocks for j, n in enumerate((1, 5))}
    d_names |= {chain(stages - 1, n): f"b4/{name}" for n, name in ((2, "conv"), (6, "fc"), (9, "out"))}
    output = "tanh" if _says(case, "tanh") else "linear"
    gan = _build(case, options["res"], options["fb"], options["fm"], mbstd_averaging="channels", g_output=output)
    case.check("the sizes are the options'", (options["N"], options["ch"]) == case.input("x").shape[:2])
    runs = [Run(f"level{level:g}", math.ceil(level) - 1, 1 - (math.ceil(level) - level)) for level in options["levels"]]
    _compare(case, gan, _named(scaled, "G.", g_names), _named(scaled, "D.", d_names), runs)


def _build(case: Case, resolution: int, fmap_base: int, fmap_max: int, **options: Any) -> Gan:
    """Networks that use their weights as they are."""
    return pggan.build(
        image_shape=(resolution, resolution, case.input("x").shape[1]),
        num_classes=0,
        z_dim=case.input("z").shape[1],
        channel_base=2 * fmap_base,
        channel_max=fmap_max,
        initializer="he",
        pool_after_activation=True,
        **options,
    )


def _compare(case: Case, gan: Gan, g_params: dict, d_params: dict, runs: list[Run]) -> None:
    z, x = case.input("z"), nhwc(case.input("x"))
    states.require_variables({"params": g_params}, gan.generator, z)
    states.require_variables({"params": d_params}, gan.discriminator, x)
    case.compare_option("nG", sum(leaf.size for leaf in jax.tree.leaves(g_params)))
    case.compare_option("nD", sum(leaf.size for leaf in jax.tree.leaves(d_params)))
    cots = [nhwc(case.input(f"{run.prefix}/cot")) for run in runs]

    def results(z, x, cots):
        found = {}
        for run, cot in zip(runs, cots, strict=True):
            growth = {"stage": run.stage, "alpha": run.alpha}
            generate = lambda z, growth=growth: gan.generator.apply({"params": g_params}, z, **growth)
            if f"{run.prefix}/img" in case.arrays:
                images, pull_back = jax.vjp(generate, z)
                found[f"{run.prefix}/img"] = images
                found[f"{run.prefix}/grad_z"] = pull_back(jnp.broadcast_to(cot, images.shape))[0]
            if f"{run.prefix}/score" in case.arrays:
                small = box_downsample(x, gan.image_shape[0] >> (run.stage + 2))
                logits = gan.discriminator.apply({"params": d_params}, small, **growth).logits
                scores = jax.nn.sigmoid(logits) if _says(case, "sigmoid") else logits
                found[f"{run.prefix}/score"] = scores.reshape(case.arrays[f"{run.prefix}/score"].shape)
        return found

    for key, value in run_as_program(results, z, x, cots).items():
        case.compare(key, nchw(value) if key.endswith("/img") else value)


def _says(case: Case, word: str) -> bool:
    """Whether the case's name, or one of its options, asks for something that pengge's networks may end in."""
    return word in case.name or any(word in name and value for name, value in case.option("cfg").items())


def _named(state: states.State, prefix: str, names: dict[str, str]) -> dict[str, Any]:
    """Our parameters from those of a port whose layers have other names."""
    params = {}
    for name, ours in names.items():
        weight, bias = state[f"{prefix}{name}.weight"], state[f"{prefix}{name}.bias"]
        if ours == "b4/fc" and prefix == "G.":
            weight = weight.transpose(2, 0, 1, 3).reshape(weight.shape[2], -1)  # [H, W, Z, O] -> [Z, H W O]
            params["b4/fc_bias"], params["b4/fc/weight"] = bias, weight
            continue
        if ours in ("b4/fc", "b4/out"):
            weight = weight.reshape(-1, weight.shape[-1])  # [H, W, I, O] -> [H W I, O]
        params |= {f"{ours}/weight": weight, f"{ours}/bias": bias}
    return states.tree(params)


def _he_scaled(array: np.ndarray, name: str) -> np.ndarray:
    """An array of akanimax's; kernels as [H, W, I, O], as they are used."""
    if array.ndim < 4:
        return array
    if name == "G.layers.0.conv_1.weight":  # Transposed, [I, O, H, W], whose fan-in is taken to be I.
        return array.transpose(2, 3, 0, 1) * np.sqrt(2 / array.shape[0])
    return hwio(array) * np.sqrt(2 / np.prod(array.shape[1:]))


def _pengge_scaled(case: Case, state: states.State) -> states.State:
    """Pengge's weights times their scales, and biases, under the weight's name."""
    scaled = {}
    for name, array in state.items():
        layer, _, leaf = name.rpartition(".")
        if leaf != "weight" or layer.endswith(".incoming"):
            continue
        owner, _, number = layer.rpartition(".")
        bias = f"{owner}.{int(number) + 1}"
        case.check(f"{bias} holds the weight", np.array_equal(state[f"{bias}.incoming.weight"], array))
        kernel = hwio(array) * state[f"scale.{bias}"]
        # The first kernel slides over one pixel with 3 zeros around it.
        scaled[name] = states.flipped(kernel) if layer == "G.output_layer.chain.0.1" else kernel
        scaled[f"{layer}.bias"] = state[f"{bias}.bias"]
    return scaled
