"""Imports a StyleGAN2-ADA network pickle (PyTorch) as a run folder, without executing anything in it.

The run can be given to every tool, and to train.py as --config.init_from=RUN. Blocks that the pickle computes in
float16 are computed in float32; set network.dtype in a recipe to train them in reduced precision.
"""

import argparse

import jax
from etils import epath

from flaxgan.config import Config, DataConfig
from flaxgan.convert.stylegan2 import ImportedNetworks, NetworkVariables, check_shapes, read_network_pickle
from flaxgan.train import compile as compilation
from flaxgan.train import devices, run_folder, setup
from flaxgan.train.checkpoint import Checkpoints
from flaxgan.train.state import TrainState


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `flaxgan import-pkl`."""
    parser.add_argument("pickle_path", metavar="FILE.pkl", help="a network pickle of StyleGAN2-ADA-PyTorch")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder to make")


def run(arguments: argparse.Namespace) -> None:
    """Writes the run folder.

    Raises:
      ValueError: if the file is not such a pickle, needs what we cannot represent, or the folder is another run's.
    """
    imported = read_network_pickle(arguments.pickle_path)
    config = setup.complete(_config(imported))
    mesh = devices.data_mesh()
    built = setup.build(config, tuple(imported.network["image_shape"]))
    state = _fill(compilation.init_state(built, mesh), imported)
    folder = run_folder.open_run(epath.Path(arguments.out), config)
    checkpoints = Checkpoints(folder.checkpoints, keep=config.keep_checkpoints)
    checkpoints.save(state, config)
    checkpoints.close()
    height, width, channels = imported.network["image_shape"]
    print(f"{arguments.pickle_path}: {height}x{width}x{channels}, {config.data.num_classes} classes, as {folder.root}")


def _config(imported: ImportedNetworks) -> Config:
    """A config of the imported networks; what a pickle does not say has the defaults of `Config`."""
    options = dict(imported.network)
    height, width, channels = options.pop("image_shape")
    num_classes = options.pop("num_classes")
    return Config(
        network={"name": "stylegan2", **options, "dtype": "float32"},
        data=DataConfig(source="folder", resolution=(height, width), channels=channels, num_classes=num_classes),
        batch_size=max(options["mbstd_group_size"] or 1, jax.device_count()),
        freeze_d_layers=imported.d_frozen_layers,
    )


def _fill(state: TrainState, imported: ImportedNetworks) -> TrainState:
    for name, network in (("g", imported.g), ("d", imported.d), ("ema", imported.g_ema)):
        filled = _filled(getattr(state, name), network, name)
        state = state.replace(**{name: filled})
    return state.replace(ada=state.ada.replace(p=state.ada.p + imported.augment_p))


def _filled(part, network: NetworkVariables, name: str):
    variables = {"buffers": network.buffers} if network.buffers else {}
    check_shapes(network.params, part.params, name)
    check_shapes(variables, part.variables, name)
    put = lambda new, old: jax.device_put(new, old.sharding)
    params = jax.tree.map(put, network.params, dict(part.params))
    return part.replace(params=params, variables=jax.tree.map(put, variables, dict(part.variables)))
