"""BigGAN and BigGAN-deep as in BigGAN-PyTorch, against families/nets_biggan.npz."""

from typing import Any

import jax.numpy as jnp
import pytest
import torch_networks
from big_states import Gamma, Norm, SpectralLayer, blocks, convolutions, embedding
from goldens import Case, Suite
from layer_calls import compare_calls
from torch_networks import dense

from flaxgan.networks import biggan
from flaxgan.types import Gan

CONVOLUTIONS = {**{f"conv{i}": f"conv{i}" for i in range(1, 5)}, "conv_sc": "shortcut"}
ATTENTION = {name: name for name in ("theta", "phi", "g", "o")}

# Of the reference's constructors.
DEFAULTS = {"resolution": 128, "dim_z": 128, "n_classes": 1000, "G_shared": True, "shared_dim": 0, "hier": False}
DEFAULTS |= {"G_ch": 64, "D_ch": 64, "D_wide": True, "G_attn": "64", "D_attn": "64", "BN_eps": 1e-5, "SN_eps": 1e-12}
# In float32 a ReLU whose input is within rounding of zero may switch.
OF_GRADIENTS = {"float32": 1e-2, "float64": 5e-7}

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*_G", inputs=["sd/*", "in/z", "in/y", "cot"], notes=["n_params"])
def run_generator(case: Case):
    state, cfg = case.inputs("sd/"), DEFAULTS | dict(case.option("cfg"))
    gan = _build(case, z_dim=case.option("dim_z_used"))
    body = gan.generator.body
    parts = [
        SpectralLayer("linear", "body/base", dense, map_channels=body.channels[0]),
        Norm("output_layer.0", "body/norm/norm"),
        SpectralLayer("output_layer.2", "body/output"),
    ]
    parts += [embedding("shared", "shared")] if cfg["G_shared"] else []
    for name, ours in _paths(state, body.depth):
        parts += convolutions(state, name, f"body/{ours}", CONVOLUTIONS | ATTENTION)
        parts += [Gamma(f"{name}.gamma", f"body/{ours}")] if f"{name}.gamma" in state else []
        norms = sorted({key.split(".")[3] for key in state if key.startswith(f"{name}.bn")})
        by_table = not cfg["G_shared"]
        parts += [Norm(f"{name}.{norm}", f"body/{ours}/norm{norm[2:]}/norm", by_table) for norm in norms]

    def call(state, inputs, train):
        images, changed = torch_networks.apply(gan.generator, parts, state, train, inputs["z"], inputs["y"])
        return jnp.moveaxis(images, -1, 1), changed

    compare_calls(case, call, case.inputs("in/"), case.input("cot"), scale_of_zeros=1.0, of_gradients=OF_GRADIENTS)


@suite.kind("*_D", inputs=["sd/*", "in/x", "in/y", "cot"], notes=["n_params"])
def run_discriminator(case: Case):
    state, gan = case.inputs("sd/"), _build(case)
    parts = [SpectralLayer("linear", "head/linear", dense), embedding("embed", "head/embed")]
    if gan.discriminator.depth:
        parts += [SpectralLayer("input_conv", "stem")]
    for name, ours in _paths(state, gan.discriminator.depth):
        parts += convolutions(state, name, ours, CONVOLUTIONS | ATTENTION)
        parts += [Gamma(f"{name}.gamma", ours)] if f"{name}.gamma" in state else []

    def call(state, inputs, train):
        images = jnp.moveaxis(inputs["x"], 1, -1)
        output, changed = torch_networks.apply(gan.discriminator, parts, state, train, images, inputs["y"])
        return output.logits[:, None], changed

    compare_calls(case, call, case.inputs("in/"), case.input("cot"), of_gradients=OF_GRADIENTS)


def _build(case: Case, **fields: Any) -> Gan:
    """The networks of a case's constructor arguments."""
    cfg = DEFAULTS | dict(case.option("cfg"))
    size = cfg["resolution"]
    g_px, d_px = ({int(px) for px in cfg[key].split("_")} for key in ("G_attn", "D_attn"))
    # At 32x32 the reference calls all outputs of D's blocks 16x16.
    d_px = (d_px | {8} if 16 in d_px else d_px) - ({4} if size == 32 else set())
    fields |= {"g_channels": cfg["G_ch"], "d_channels": cfg["D_ch"], "d_wide": cfg["D_wide"]}
    fields |= {"g_attention_px": tuple(g_px & {8 << i for i in range(8) if 8 << i <= size})}
    fields |= {"d_attention_px": tuple(d_px & {4 << i for i in range(8) if 4 << i < size})}
    fields |= {"hierarchical": cfg["hier"], "shared_dim": (cfg["shared_dim"] or cfg["dim_z"]) if cfg["G_shared"] else 0}
    fields |= {"spectral_eps": cfg["SN_eps"], "norm_eps": cfg["BN_eps"]}
    if "G_depth" in cfg:
        fields |= {"deep": True, "g_depth": cfg["G_depth"], "d_depth": cfg["D_depth"]}
    return biggan.build(image_shape=(size, size, 3), num_classes=cfg["n_classes"], **fields)


def _paths(state: Any, depth: int) -> list[tuple[str, str]]:
    """(their name, our path) of all blocks and attentions; depth is the number of blocks in a group, or 0."""
    paths, count = [], 0
    for name in blocks(state):
        group = count // max(depth, 1) + 1
        if f"{name}.gamma" in state:
            paths.append((name, f"attention{group - 1}"))
            continue
        paths.append((name, f"block{group}_{count % depth + 1}" if depth else f"block{group}"))
        count += 1
    return paths
