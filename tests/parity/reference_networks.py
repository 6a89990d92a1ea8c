"""Our modules from the reference's constructor arguments, as the goldens' meta and the network pickles store them."""

from typing import Any

from flaxgan.networks.stylegan2 import Discriminator, Generator, SynthesisNetwork
from flaxgan.nn.equalized import EqualizedConv, FullyConnected
from flaxgan.nn.mapping import MappingNetwork
from flaxgan.nn.style_layers import SynthesisLayer, ToRGB
from flaxgan.nn.style_synthesis import SynthesisBlock

# Memory layout and half precision do not change the numbers of the goldens, which are those of the float64 run.
_WITHOUT_EFFECT = ("channels_last", "fp16_channels_last", "use_fp16", "num_fp16_res", "trainable")


def generator(config: dict[str, Any], *, noise_mode: str = "const") -> Generator:
    """The Generator of {z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs, synthesis_kwargs}."""
    config = dict(config)
    w_dim, c_dim, z_dim = config.pop("w_dim"), config.pop("c_dim"), config.pop("z_dim")
    mapping_kwargs = config.pop("mapping_kwargs", {})
    synthesis = SynthesisNetwork(_image_shape(config), **_arguments(config.pop("synthesis_kwargs", {})))
    _require_empty(config)
    mapping_config = {"z_dim": z_dim, "c_dim": c_dim, "w_dim": w_dim, "num_ws": synthesis.num_ws}
    return Generator(mapping_network({**mapping_config, **mapping_kwargs}), synthesis, noise_mode=noise_mode)


def discriminator(config: dict[str, Any]) -> tuple[Discriminator, int]:
    """The Discriminator of the reference's arguments, and the number of frozen layers in them."""
    config = dict(config)
    image_shape, c_dim = _image_shape(config), config.pop("c_dim")
    cmap_dim, mapping_kwargs = config.pop("cmap_dim", None), config.pop("mapping_kwargs", {})
    block_kwargs = _arguments(config.pop("block_kwargs", {}))
    freeze_layers = block_kwargs.pop("freeze_layers", 0)
    epilogue_kwargs = {"activation": "lrelu", **config.pop("epilogue_kwargs", {})}
    epilogue_kwargs["epilogue_activation"] = epilogue_kwargs.pop("activation")
    network = Discriminator(image_shape, **_arguments(config), **epilogue_kwargs, **block_kwargs)
    if c_dim == 0:
        return network, freeze_layers
    base_channels = min(network.channel_base // 4, network.channel_max)
    projection = {"z_dim": 0, "c_dim": c_dim, "w_dim": base_channels if cmap_dim is None else cmap_dim}
    label_mapping = mapping_network({**projection, "num_ws": None, "w_avg_beta": None, **mapping_kwargs})
    return network.clone(mapping=label_mapping), freeze_layers


def mapping_network(config: dict[str, Any]) -> MappingNetwork:
    """The MappingNetwork of the reference's arguments."""
    return MappingNetwork(**_renamed(config, c_dim="num_classes"))


def fully_connected(config: dict[str, Any]) -> FullyConnected:
    """The FullyConnectedLayer of the reference's arguments."""
    return FullyConnected(**_renamed(_without(config, "in_features"), out_features="features", bias="use_bias"))


def equalized_conv(config: dict[str, Any]) -> EqualizedConv:
    """The Conv2dLayer of the reference's arguments."""
    return EqualizedConv(**_renamed(_without(config, "in_channels"), out_channels="features", bias="use_bias"))


def synthesis_layer(config: dict[str, Any]) -> SynthesisLayer:
    """The SynthesisLayer of the reference's arguments."""
    config = _without(config, "in_channels", "w_dim", "resolution")
    return SynthesisLayer(**_renamed(config, out_channels="features"))


def to_rgb(config: dict[str, Any]) -> ToRGB:
    """The ToRGBLayer of the reference's arguments."""
    return ToRGB(**_renamed(_without(config, "in_channels", "w_dim"), out_channels="image_channels"))


def synthesis_block(config: dict[str, Any]) -> SynthesisBlock:
    """The SynthesisBlock of the reference's arguments."""
    base_grid = (config["resolution"],) * 2 if config["in_channels"] == 0 else None
    config = _without(config, "in_channels", "w_dim", "resolution")
    return SynthesisBlock(
        **_renamed(config, out_channels="features", img_channels="image_channels"), base_grid=base_grid
    )


def _image_shape(config: dict[str, Any]) -> tuple[int, int, int]:
    resolution = config.pop("img_resolution")
    return resolution, resolution, config.pop("img_channels")


def _renamed(config: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in _arguments(config).items()}


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    """A copy with hashable values and without the arguments that do not change the numbers."""
    config = _without(config, *_WITHOUT_EFFECT)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def _without(config: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


def _require_empty(config: dict[str, Any]) -> None:
    if config:
        raise ValueError(f"arguments of the reference that have no counterpart: {', '.join(config)}")
