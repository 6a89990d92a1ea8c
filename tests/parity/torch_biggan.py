"""BigGAN and BigGAN-deep with the layers of BigGAN-PyTorch, from the arguments of its constructors."""

from collections.abc import Mapping
from typing import Any

from big_states import Gamma, Norm, SpectralLayer, blocks, convolutions, embedding
from torch_networks import State, dense

from flaxgan.types import Gan

CONVOLUTIONS = {**{f"conv{i}": f"conv{i}" for i in range(1, 5)}, "conv_sc": "shortcut"}
ATTENTION = {name: name for name in ("theta", "phi", "g", "o")}

# Of the reference's constructors.
DEFAULTS = {"resolution": 128, "dim_z": 128, "n_classes": 1000, "G_shared": True, "shared_dim": 0, "hier": False}
DEFAULTS |= {"G_ch": 64, "D_ch": 64, "D_wide": True, "G_attn": "64", "D_attn": "64", "BN_eps": 1e-5, "SN_eps": 1e-12}

Part = SpectralLayer | Norm | Gamma


def fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of our `biggan.build` but image_shape and num_classes, for some of the constructors' arguments."""
    cfg = DEFAULTS | given
    size = cfg["resolution"]
    g_px, d_px = ({int(px) for px in cfg[key].split("_")} for key in ("G_attn", "D_attn"))
    if size == 32:  # There the reference calls the outputs of all of D's blocks 16x16.
        d_px = {16, 8} if 16 in d_px else set()
    found = {"g_channels": cfg["G_ch"], "d_channels": cfg["D_ch"], "d_wide": cfg["D_wide"]}
    found |= {"g_attention_px": tuple(sorted(g_px & {8 << i for i in range(8) if 8 << i <= size}))}
    found |= {"d_attention_px": tuple(sorted(d_px & {4 << i for i in range(8) if 4 << i < size}))}
    found |= {"hierarchical": cfg["hier"], "shared_dim": (cfg["shared_dim"] or cfg["dim_z"]) if cfg["G_shared"] else 0}
    found |= {"spectral_eps": cfg["SN_eps"], "norm_eps": cfg["BN_eps"]}
    if "G_depth" in cfg:
        found |= {"deep": True, "g_depth": cfg["G_depth"], "d_depth": cfg["D_depth"]}
    return found


def generator_parts(state: State, gan: Gan, *, shared: bool = True) -> list[Part]:
    """The layers of the generator; `shared` as the constructors' G_shared."""
    body = gan.generator.body
    parts: list[Part] = [
        SpectralLayer("linear", "body/base", dense, map_channels=body.channels[0]),
        Norm("output_layer.0", "body/norm/norm"),
        SpectralLayer("output_layer.2", "body/output"),
    ]
    parts += [embedding("shared", "shared")] if shared else []
    for name, ours in _paths(state, body.depth):
        parts += convolutions(state, name, f"body/{ours}", CONVOLUTIONS | ATTENTION)
        parts += [Gamma(f"{name}.gamma", f"body/{ours}")] if f"{name}.gamma" in state else []
        norms = sorted({key.split(".")[3] for key in state if key.startswith(f"{name}.bn")})
        parts += [Norm(f"{name}.{norm}", f"body/{ours}/norm{norm[2:]}/norm", by_table=not shared) for norm in norms]
    return parts


def discriminator_parts(state: State, gan: Gan) -> list[Part]:
    """The layers of the discriminator."""
    parts: list[Part] = [SpectralLayer("linear", "head/linear", dense), embedding("embed", "head/embed")]
    if gan.discriminator.depth:
        parts += [SpectralLayer("input_conv", "stem")]
    for name, ours in _paths(state, gan.discriminator.depth):
        parts += convolutions(state, name, ours, CONVOLUTIONS | ATTENTION)
        parts += [Gamma(f"{name}.gamma", ours)] if f"{name}.gamma" in state else []
    return parts


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
