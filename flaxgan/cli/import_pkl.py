"""Imports a StyleGAN2-ADA network pickle (PyTorch) as a run folder, without executing anything in it.

The run can be given to every tool, and to train.py as --config.init_from=RUN. Blocks that the pickle computes in
float16 are computed in float32; set network.dtype in a recipe to train them in reduced precision.
"""

import argparse
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath

from flaxgan.augment import controller
from flaxgan.config import Config, DataConfig, to_json
from flaxgan.convert.stylegan2 import ImportedNetworks, NetworkVariables, check_shapes, read_network_pickle
from flaxgan.networks import stylegan2
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.run.run_folder import RunFolder
from flaxgan.train.step import binding
from flaxgan.train.step.state import Average, NetworkState, TrainState


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `flaxgan import-pkl`."""
    parser.add_argument("pickle_path", metavar="FILE.pkl", help="a network pickle of StyleGAN2-ADA-PyTorch")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to make")


def run(arguments: argparse.Namespace) -> None:
    """Writes the run folder.

    Raises:
      ValueError: if the file is not such a pickle or holds networks that cannot be built, or if the folder exists.
    """
    folder = RunFolder(epath.Path(arguments.out))
    _check_new(folder.root)
    imported = read_network_pickle(arguments.pickle_path)
    try:
        config = _config(imported)
        state = _state(config, imported)
    except ValueError as error:
        raise ValueError(f"{arguments.pickle_path}: {error}") from error
    _write(folder, config, state)
    height, width, channels = imported.network["image_shape"]
    classes = f", {config.data.num_classes} classes" if config.data.num_classes else ""
    print(f"{arguments.pickle_path}: {height}x{width}x{channels}{classes}, imported as {folder.root}")


def _check_new(path: epath.Path) -> None:
    if path.exists() and not (path.is_dir() and next(path.iterdir(), None) is None):
        raise ValueError(f"--out: found {path}, which exists, allowed: a folder that does not exist or is empty")


def _config(imported: ImportedNetworks) -> Config:
    """The completed config of the networks; what a pickle does not say has the defaults of `Config`."""
    network = {**imported.network, "dtype": "float32"}
    num_layers = len(stylegan2.build(**network).d_layers)
    height, width, channels = network.pop("image_shape")
    data = DataConfig(resolution=(height, width), channels=channels, num_classes=network.pop("num_classes"))
    config = Config(
        network={"name": "stylegan2", **network},
        data=data,
        # Pickles of the reference may ask for more layers to be frozen than there are.
        freeze_d_layers=min(imported.d_frozen_layers, num_layers),
        # A batch of the usual size that the minibatch standard deviation can split.
        batch_size=math.lcm(32, network["mbstd_group_size"] or 1),
    )
    return binding.complete(config)


def _state(config: Config, imported: ImportedNetworks) -> TrainState:
    """The state before the first step, with the imported networks and the imported probability of augmentation."""
    built = binding.build(config, imported.network["image_shape"])
    # Shapes first: what a damaged pickle says about its networks may ask for more memory than there is.
    expected = compilation.abstract_state(built, device_mesh.data_mesh())
    g = _variables("G", imported.g, expected.g)
    d = _variables("D", imported.d, expected.d)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        images_seen=jnp.zeros((), jnp.int32),
        g=NetworkState(**g, opt_state=built.optimizers.g.init(g["params"])),
        d=NetworkState(**d, opt_state=built.optimizers.d.init(d["params"])),
        ema=Average(**_variables("G_ema", imported.g_ema, expected.ema)),
        regularizers={"g": {}, "d": {}},
        ada=controller.init(imported.augment_p),
        input_score=jnp.zeros(()),
    )


def _variables(name: str, found: NetworkVariables, expected: NetworkState | Average) -> Mapping[str, Any]:
    """{"params", "variables"} of a network, of the expected shapes."""
    variables = {"buffers": found.buffers} if found.buffers else {}
    check_shapes(found.params, expected.params, name)
    check_shapes(variables, expected.variables, name)
    return {"params": jax.tree.map(jnp.asarray, found.params), "variables": jax.tree.map(jnp.asarray, variables)}


def _write(folder: RunFolder, config: Config, state: TrainState) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder.checkpoints, keep=config.keep_checkpoints)
    checkpoints.save(state, config)
    checkpoints.close()
    folder.config.write_text(to_json(config))
