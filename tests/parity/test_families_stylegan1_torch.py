"""StyleGAN against families/stylegan1_torch.npz, numbers of a PyTorch port (huangzh13/StyleGAN.pytorch).

The port's instance normalization has an epsilon of 1e-5. Its noise is given for each sample. Its discriminator has no
activation after its 1x1 convolutions of the image; of that, the parameters are checked.
"""

import re

import growing_states as states
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case, Suite, hwio, nchw, nhwc, run_as_program

from flaxgan.networks import stylegan

suite = Suite(__name__, float32=2e-4, float64=1e-6)

FUSED_PX = 128  # The port fuses enlarging and convolution from here on, as the official code does.


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=["sd/*", "noise*", "z", "avg_latent", "w", "x", "*/cot"], notes=["D_group"])
def run_networks(case: Case):
    options, z, ws = case.option("cfg"), case.input("z"), case.input("w")
    resolution, channels = options["res"], case.input("x").shape[1]
    gan = stylegan.build(
        image_shape=(resolution, resolution, channels),
        num_classes=0,
        z_dim=options["z"],
        w_dim=options["w"],
        mapping_layers=options["mapl"],
        layer_features=options["mapf"],
        channel_base=2 * options["fb"],
        channel_max=options["fm"],
        instance_norm_eps=1e-5,
        noise_mode="const",
    )
    g_params, d_params = _parameters(case, resolution)
    noise = {
        f"b{4 << index // 2}/layer{index % 2}/noise_const": case.input(f"noise{index}")[:, 0]
        for index in range(gan.generator.num_ws)
    }
    buffers = {"mapping": {"w_avg": case.input("avg_latent")}, "synthesis": states.tree(noise)}
    case.check("the batch is the options'", len(z) == options["N"])
    states.require_variables({"params": d_params}, gan.discriminator, jnp.zeros((len(z), *gan.image_shape)))
    case.compare_option("nG", sum(leaf.size for leaf in jax.tree.leaves(g_params)))
    case.compare_option("nD", sum(leaf.size for leaf in jax.tree.leaves(d_params)))
    variables = {"params": g_params, "buffers": buffers}
    _compare_mapping(case, gan.generator, variables, z)

    cots = {run: nhwc(case.input(f"{_prefix(run)}/cot")) for run in options["runs"]}
    synthesize = lambda ws, **growth: gan.generator.apply(variables, ws, method="synthesize", **growth)

    def results(ws, cots):
        found = {}
        for (stage, alpha), cot in cots.items():
            growth = {"stage": stage, "alpha": alpha}
            images, pull_back = jax.vjp(lambda ws, growth=growth: synthesize(ws, **growth), ws)
            found[stage, alpha] = images, pull_back(cot)[0]
        return found

    for run, (images, grad_w) in run_as_program(results, ws, cots).items():
        case.compare(f"{_prefix(run)}/img", nchw(images))
        case.compare(f"{_prefix(run)}/grad_w", grad_w)


def _compare_mapping(case: Case, generator, variables, z) -> None:
    options = case.option("cfg")
    map_styles = lambda **keywords: generator.apply(variables, z, method="map", **keywords)

    def results():
        truncated = map_styles(truncation_psi=options["psi"], truncation_cutoff=options["max_layer"])
        _, by_all = map_styles(train=True, mutable=["buffers"])
        # The port averages over the first sample of a batch alone: over a batch of one.
        _, by_first = generator.apply(variables, z[:1], method="map", train=True, mutable=["buffers"])
        averages = [updated["buffers"]["mapping"]["w_avg"] for updated in (by_all, by_first)]
        return map_styles()[:, 0], truncated, *averages

    keys = ("mapping_out", "truncated", "avg_latent_updated_nvlabs", "avg_latent_updated")
    for key, value in zip(keys, run_as_program(results), strict=True):
        case.compare(key, value)


def _parameters(case: Case, resolution: int) -> tuple[dict, dict]:
    """Parameters of the generator and of the discriminator from the port's state_dict."""
    stages = resolution.bit_length() - 2
    generator, discriminator = {}, {}
    for name, array in case.inputs("sd/").items():
        part, _, rest = name.partition(".")
        if rest.endswith(".kernel"):
            expected = np.outer(*[[1, 2, 1]] * 2) / 16 if array.shape[-1] == 3 else np.full((2, 2), 0.25)
            case.check(f"{name} is the filter of ours", np.array_equal(array[0, 0], expected))
            continue
        array = hwio(array) if array.ndim == 4 and "const" not in rest else array
        array = array.T if array.ndim == 2 else array
        if part == "map":
            generator["mapping/" + re.sub(r"map\.dense(\d+)\.", r"fc\1/", rest)] = array
        elif part == "syn":
            ours = _synthesis_name(rest)
            if ours.endswith("const"):
                array = array[0].transpose(1, 2, 0)
            if "conv0_up.weight" in rest and int(ours[1:].partition("/")[0]) >= FUSED_PX:
                array = states.flipped(array)
            generator[f"synthesis/{ours}"] = array
        else:
            array = states.from_chw(array, 4, 4) if rest.endswith("dense0.weight") else array
            discriminator[_discriminator_name(rest, stages)] = array
    return states.tree(generator), states.tree(discriminator)


def _synthesis_name(name: str) -> str:
    """Our name of "blocks.1.epi2.style_mod.lin.weight" and so on."""
    if name.startswith("to_rgb."):
        _, index, leaf = name.split(".")
        return f"torgb{4 << int(index)}/{leaf}"
    index, _, rest = name.removeprefix("blocks.").partition(".")
    px = 4 if index == "init_block" else 8 << int(index)
    if epilogue := re.fullmatch(r"epi(\d)\.(.*)", rest):
        leaf = {"top_epi.noise.weight": "noise_strength"}.get(epilogue[2])
        return f"b{px}/layer{int(epilogue[1]) - 1}/" + (leaf or epilogue[2].replace("style_mod.lin.", "affine/"))
    names = {"const": "const", "bias": "layer0/bias", "conv.weight": "conv1/weight", "conv.bias": "layer1/bias"}
    names |= {"conv0_up.weight": "conv0/weight", "conv0_up.bias": "layer0/bias"}
    names |= {"conv1.weight": "conv1/weight", "conv1.bias": "layer1/bias"}
    return f"b{px}/{names[rest]}"


def _discriminator_name(name: str, stages: int) -> str:
    """Our name of "blocks.0.conv1_down.weight" and so on; its blocks are counted from the image."""
    px = lambda index: 4 << (stages - 1 - int(index))
    if name.startswith("from_rgb."):
        _, index, leaf = name.split(".")
        return f"fromrgb{px(index)}/{leaf}"
    if name.startswith("final_block."):
        _, layer, leaf = name.split(".")
        return f"b4/{ {'conv': 'conv', 'dense0': 'fc', 'dense1': 'out'}[layer] }/{leaf}"
    _, index, layer, leaf = name.split(".")
    return f"b{px(index)}/{layer.removesuffix('_down')}/{leaf}"


def _prefix(run: tuple[int, float]) -> str:
    return f"depth{run[0]}_alpha{run[1]:g}"
