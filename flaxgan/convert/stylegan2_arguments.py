"""Conversion of the reference's constructor arguments to arguments of flaxgan.networks.stylegan2.build."""

import math
from typing import Any

from flaxgan.convert.constructor import Arguments, require_class
from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.pickle_machine import PickleRefused

GENERATOR_ARGUMENTS = (
    "z_dim",
    "c_dim",
    "w_dim",
    "img_resolution",
    "img_channels",
    "mapping_kwargs",
    "synthesis_kwargs",
)
DISCRIMINATOR_ARGUMENTS = (
    "c_dim",
    "img_resolution",
    "img_channels",
    "architecture",
    "channel_base",
    "channel_max",
    "num_fp16_res",
    "conv_clamp",
    "cmap_dim",
    "block_kwargs",
    "mapping_kwargs",
    "epilogue_kwargs",
)


def network_arguments(g: ModuleRecord, d: ModuleRecord) -> tuple[dict[str, Any], int]:
    """Returns the arguments that a pair of networks was constructed with.

    Args:
      g: the reference's Generator.
      d: its Discriminator.

    Returns:
      The keyword arguments of `flaxgan.networks.stylegan2.build` that the two networks determine, and the number of D's
      frozen layers, counted from the image. A field d_X is given only where D differs from G.

    Raises:
      PickleRefused: naming the argument, if one is missing, unknown or wrong, or if the two networks differ in the
        size or the classes of their images.
    """
    g_options, d_options = _generator_options(g), _discriminator_options(d)
    frozen_layers = d_options.pop("freeze_layers")
    return _with_precision(_merge(g_options, d_options)), frozen_layers


def _generator_options(record: ModuleRecord) -> dict[str, Any]:
    """Returns the arguments of `build` that the generator determines."""
    require_class(record, "Generator", "G")
    arguments = Arguments.of(record, "G", GENERATOR_ARGUMENTS)
    mapping, synthesis = arguments.nested("mapping_kwargs"), arguments.nested("synthesis_kwargs")
    options = {
        **_image_options(arguments, _child(record, "synthesis", "G")),
        "z_dim": arguments.require("z_dim", int),
        "w_dim": arguments.require("w_dim", int),
        "mapping_layers": _mapping_layers(mapping, _child(record, "mapping", "G")),
        "embed_features": mapping.take("embed_features", None, int),
        "layer_features": mapping.take("layer_features", None, int),
        "mapping_activation": mapping.take("activation", "lrelu", str),
        "mapping_lr_multiplier": mapping.take("lr_multiplier", 0.01, float, int),
        "w_avg_beta": mapping.take("w_avg_beta", 0.995, float, int),
        **_block_options(synthesis, synthesis),
        "g_architecture": synthesis.take("architecture", "skip", str),
        "g_kernel_size": synthesis.take("kernel_size", 3, int),
        "use_noise": synthesis.take("use_noise", True, bool),
    }
    for part in (arguments, mapping, synthesis):
        part.finish()
    return options


def _discriminator_options(record: ModuleRecord) -> dict[str, Any]:
    """Returns the arguments of `build` that D determines, under G's names where G has them too, and freeze_layers."""
    require_class(record, "Discriminator", "D")
    arguments = Arguments.of(record, "D", DISCRIMINATOR_ARGUMENTS)
    block, epilogue = arguments.nested("block_kwargs"), arguments.nested("epilogue_kwargs")
    mapping = arguments.nested("mapping_kwargs")
    options = {
        **_image_options(arguments, record),
        "d_architecture": arguments.take("architecture", "resnet", str),
        **_block_options(arguments, block),
        "freeze_layers": block.take("freeze_layers", 0, int),
        "mbstd_group_size": epilogue.take("mbstd_group_size", 4, int, type(None)),
        "mbstd_num_channels": epilogue.take("mbstd_num_channels", 1, int),
    }
    epilogue_activation = epilogue.take("activation", "lrelu", str)
    if epilogue_activation != options["activation"]:
        options["d_epilogue_activation"] = epilogue_activation
    cmap_dim = arguments.take("cmap_dim", None, int)
    for part in (arguments, block, epilogue):
        part.finish()
    if options["num_classes"] == 0:
        return options
    return options | {"cmap_dim": cmap_dim} | _label_mapping_options(mapping, _child(record, "mapping", "D"))


def _block_options(network: Arguments, block: Arguments) -> dict[str, Any]:
    """Returns the options that both networks have, from the arguments of a network and of its blocks."""
    block.take("fp16_channels_last", False, bool)  # Memory layout of half-precision blocks; it changes no result.
    return {
        "channel_base": network.take("channel_base", 32768, int),
        "channel_max": network.take("channel_max", 512, int),
        "low_precision_resolutions": network.take("num_fp16_res", 0, int),
        "conv_clamp": network.take("conv_clamp", None, int, float),
        "activation": block.take("activation", "lrelu", str),
        "resample_filter": block.take_filter("resample_filter"),
    }


def _label_mapping_options(arguments: Arguments, mapping: ModuleRecord) -> dict[str, Any]:
    """Returns the arguments of `build` that the discriminator's label mapping determines."""
    layers = _mapping_layers(arguments, mapping)
    features = {f"d_{name}": arguments.take(name, None, int) for name in ("embed_features", "layer_features")}
    of_layers = {
        "mapping_activation": arguments.take("activation", "lrelu", str),
        "mapping_lr_multiplier": arguments.take("lr_multiplier", 0.01, float, int),
    }
    arguments.finish()
    given = {name: value for name, value in features.items() if value is not None}
    return {"d_mapping_layers": layers} | given | (of_layers if layers else {})


def _image_options(arguments: Arguments, blocks: ModuleRecord) -> dict[str, Any]:
    resolution, channels = arguments.require("img_resolution", int), arguments.require("img_channels", int)
    if f"b{resolution}" not in blocks.children:
        raise PickleRefused(
            f"{arguments.owner}.img_resolution: found {resolution}, but there is no block b{resolution}"
        )
    return {"image_shape": (resolution, resolution, channels), "num_classes": arguments.require("c_dim", int)}


def _mapping_layers(arguments: Arguments, mapping: ModuleRecord) -> int:
    layers = arguments.take("num_layers", 8, int)
    found = sum(name.startswith("fc") for name in mapping.children)
    if layers != found:
        raise PickleRefused(f"{arguments.owner}.num_layers: found {layers}, but there are {found} layers")
    return layers


def _merge(g_options: dict[str, Any], d_options: dict[str, Any]) -> dict[str, Any]:
    """Merges the options of both networks; where D differs from G in X, its value is d_X."""
    for name in ("image_shape", "num_classes"):
        if g_options[name] != d_options[name]:
            raise PickleRefused(
                f"{name}: found {g_options[name]!r} in G and {d_options[name]!r} in D, allowed: equal values"
            )
    differing = [name for name in d_options if name in g_options and d_options[name] != g_options[name]]
    own = {f"d_{name}": d_options[name] for name in differing}
    if own.get("d_conv_clamp", ...) is None:
        own["d_conv_clamp"] = math.inf  # None would mean the value of G.
    return d_options | g_options | own


def _with_precision(options: dict[str, Any]) -> dict[str, Any]:
    """Adds the dtype, which the reference implies by the number of low-precision resolutions."""
    names = ("low_precision_resolutions", "d_low_precision_resolutions")
    if max(options.get(name, 0) for name in names) > 0:
        return options | {"dtype": "float16"}
    return {name: value for name, value in options.items() if name not in names}


def _child(record: ModuleRecord, name: str, owner: str) -> ModuleRecord:
    if name not in record.children:
        raise PickleRefused(f"{owner}.{name}: the module is missing")
    return record.children[name]
