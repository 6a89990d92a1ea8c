"""Constructor arguments of the reference's networks as arguments of flaxgan.networks.stylegan2.build."""

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
    """What a pair of networks was constructed with.

    Args:
      g: the reference's Generator.
      d: its Discriminator.

    Returns:
      The keyword arguments of `flaxgan.networks.stylegan2.build`, all that the two decide, and the number of D's
      layers, from the image on, that are frozen.

    Raises:
      PickleRefused: naming the argument, if one is missing, unknown, wrong or not offered by `build`, which has one
        value for what the reference sets for each network.
    """
    g_options, d_options = _generator_options(g), _discriminator_options(d)
    frozen_layers = d_options.pop("freeze_layers")
    return _merge(g_options, d_options), frozen_layers


def _generator_options(record: ModuleRecord) -> dict[str, Any]:
    """Arguments of `build` that the generator decides, and num_fp16_res."""
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
        "mapping_lr_multiplier": mapping.take("lr_multiplier", 0.01, float, int),
        "w_avg_beta": mapping.take("w_avg_beta", 0.995, float, int),
        "channel_base": synthesis.take("channel_base", 32768, int),
        "channel_max": synthesis.take("channel_max", 512, int),
        "num_fp16_res": synthesis.take("num_fp16_res", 0, int),
        "g_architecture": synthesis.take("architecture", "skip", str),
        "resample_filter": synthesis.take_filter("resample_filter"),
        "conv_clamp": synthesis.take("conv_clamp", None, int, float),
        "use_noise": synthesis.take("use_noise", True, bool),
        "activation": synthesis.take("activation", "lrelu", str),
    }
    mapping.expect("activation", "lrelu", "lrelu")
    synthesis.expect("kernel_size", 3, 3)
    synthesis.take(
        "fp16_channels_last", False, bool
    )  # Memory layout of half-precision blocks; no number depends on it.
    for part in (arguments, mapping, synthesis):
        part.finish()
    return options


def _discriminator_options(record: ModuleRecord) -> dict[str, Any]:
    """Arguments of `build` that the discriminator decides, num_fp16_res and freeze_layers."""
    require_class(record, "Discriminator", "D")
    arguments = Arguments.of(record, "D", DISCRIMINATOR_ARGUMENTS)
    block, epilogue = arguments.nested("block_kwargs"), arguments.nested("epilogue_kwargs")
    mapping = arguments.nested("mapping_kwargs")
    activation = block.take("activation", "lrelu", str)
    options = {
        **_image_options(arguments, record),
        "d_architecture": arguments.take("architecture", "resnet", str),
        "channel_base": arguments.take("channel_base", 32768, int),
        "channel_max": arguments.take("channel_max", 512, int),
        "num_fp16_res": arguments.take("num_fp16_res", 0, int),
        "conv_clamp": arguments.take("conv_clamp", None, int, float),
        "cmap_dim": arguments.take("cmap_dim", None, int),
        "activation": activation,
        "resample_filter": block.take_filter("resample_filter"),
        "freeze_layers": block.take("freeze_layers", 0, int),
        "mbstd_group_size": epilogue.take("mbstd_group_size", 4, int, type(None)),
        "mbstd_num_channels": epilogue.take("mbstd_num_channels", 1, int),
    }
    epilogue.expect("activation", "lrelu", activation)
    block.take("fp16_channels_last", False, bool)  # Memory layout of half-precision blocks; no number depends on it.
    for part in (arguments, block, epilogue):
        part.finish()
    return options | _label_mapping_options(mapping, record, options)


def _label_mapping_options(mapping: Arguments, record: ModuleRecord, options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `build` that the discriminator's mapping of labels decides; without labels there is none."""
    if options["num_classes"] == 0:
        return {"cmap_dim": None}
    base_channels = min(options["channel_base"] // 4, options["channel_max"])
    width = base_channels if options["cmap_dim"] is None else options["cmap_dim"]
    mapping.expect("embed_features", None, None, width)
    mapping.expect("layer_features", None, None, width)
    mapping.expect("activation", "lrelu", "lrelu")
    layers = _mapping_layers(mapping, _child(record, "mapping", "D"))
    lr_multiplier = mapping.take("lr_multiplier", 0.01, float, int)
    mapping.finish()
    return {"d_mapping_layers": layers} | ({"mapping_lr_multiplier": lr_multiplier} if layers else {})


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
    """One set of arguments; what both networks have must be equal, because `build` takes it once."""
    for name in g_options:
        if name in d_options and g_options[name] != d_options[name]:
            raise PickleRefused(
                f"{name}: G has {g_options[name]!r} and D {d_options[name]!r}; allowed: the same for both"
            )
    merged = g_options | d_options
    low_precision_resolutions = merged.pop("num_fp16_res")
    if low_precision_resolutions > 0:
        merged |= {"dtype": "float16", "low_precision_resolutions": low_precision_resolutions}
    return merged


def _child(record: ModuleRecord, name: str, owner: str) -> ModuleRecord:
    if name not in record.children:
        raise PickleRefused(f"{owner}.{name}: the module is missing")
    return record.children[name]
