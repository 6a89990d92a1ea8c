"""The trainer's own config, code and state from what the goldens say of a training run of the reference."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import reference_networks
from flax.traverse_util import flatten_dict, unflatten_dict
from goldens import Case, nhwc
from reference_states import variables

from flaxgan.augment import controller
from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig
from flaxgan.convert.state_dict import from_flax
from flaxgan.train.step import binding, optimizers
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.state import Average, NetworkState, TrainState
from flaxgan.train.step.training_setup import TrainingSetup
from flaxgan.types import Gan


def setup(case: Case) -> TrainingSetup:
    """What the trainer's phases are built of, for the options of a case: G, D, batch, loss, and those of a run."""
    gan, frozen_layers = _gan(case)
    config = binding.complete(_config(case, gan))
    built = binding.build(config, gan.image_shape)
    # A recipe has one set of widths for both networks, the reference one for each: these networks are not the recipe's.
    config = dataclasses.replace(config, freeze_d_layers=frozen_layers)
    return dataclasses.replace(
        built, config=config, gan=gan, optimizers=optimizers.build_optimizers(config, gan.d_layers)
    )


def train_state(case: Case, built: TrainingSetup, *, prefix: str = "", pl_mean: Any = 0.0) -> TrainState:
    """The state before the first step, with the networks' states below `<prefix>G/` and `<prefix>D/`."""
    gan, labels = built.gan, np.zeros((1, built.gan.num_classes))
    g = _network(
        case, gan.generator, np.zeros((1, gan.z_dim)), labels, prefix=f"{prefix}G/", optimizer=built.optimizers.g
    )
    images = np.zeros((1, *gan.image_shape))
    d = _network(case, gan.discriminator, images, labels, prefix=f"{prefix}D/", optimizer=built.optimizers.d)
    zero = jnp.zeros((), jnp.int32)
    average = Average(g.params, g.variables)
    own = {"g": {"path_length": {"pl_mean": jnp.asarray(pl_mean, case.dtype)}}, "d": {}}
    return TrainState(zero, zero, g, d, average, own, controller.init(), jnp.zeros(()))


def reals(images: np.ndarray, labels: np.ndarray) -> Reals:
    """Real images [N, C, H, W] and label vectors [N, K], as the phases take them."""
    return Reals(jnp.asarray(nhwc(images)), jnp.asarray(labels))


def latents(z: np.ndarray, labels: np.ndarray) -> Latents:
    """Latents of one round without style mixing; the key is not used, because the noise is constant."""
    return Latents(jnp.asarray(z), jnp.asarray(labels), jax.random.key(0))


def compiled(function: Callable) -> Callable:
    """`jax.jit` with little optimization, because most of these programs' time goes into compiling them."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def pl_mean(state: TrainState) -> jax.Array:
    """The moving average of the path length."""
    return state.regularizers["g"]["path_length"]["pl_mean"]


def w_avg(state: TrainState) -> jax.Array:
    """The generator's average style."""
    return state.g.variables["buffers"]["mapping"]["w_avg"]


def r1_cancels(built: TrainingSetup) -> bool:
    """Whether minibatch-stddev groups have 2 images: terms of R1's gradient then cancel, which costs float32 digits."""
    images = built.config.batch_size // built.config.accumulation_rounds
    return min(built.gan.discriminator.mbstd_group_size or images, images) == 2


def trained(built: TrainingSetup, params: Any) -> dict[str, np.ndarray]:
    """By the reference's names, all arrays of a tree like a network's parameters but those of frozen layers."""
    frozen = tuple(f"{layer}/" for layer in built.gan.d_layers[: built.config.freeze_d_layers])
    flat = flatten_dict(params, sep="/")
    return from_flax(unflatten_dict({name: flat[name] for name in flat if not name.startswith(frozen)}, sep="/"))


def compare_gradients(case: Case, prefix: str, found: dict[str, np.ndarray], *, tolerance: Any) -> None:
    """Compares the gradients of all trained parameters of a network, relative to the largest of them."""
    keys = case.keys(f"{prefix}*")
    case.check(f"{prefix} has all parameters", {key.removeprefix(prefix) for key in keys} == set(found))
    scale = max(np.max(np.abs(case.arrays[key]), initial=0.0) for key in keys)
    for key in keys:
        case.compare(key, found[key.removeprefix(prefix)], tolerance=tolerance, scale=scale)


def entries(option: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """The entries of an option that is a dict, which must have exactly these."""
    if set(option) != set(names):
        raise AssertionError(f"an option has the entries {', '.join(option)}, known are {', '.join(names)}")
    return tuple(option[name] for name in names)


def _gan(case: Case) -> tuple[Gan, int]:
    """The networks, and how many layers of the discriminator are frozen."""
    generator = reference_networks.generator(case.option("G"), noise_mode="const")
    discriminator, frozen_layers = reference_networks.discriminator(case.option("D"))
    z_dim, num_classes = generator.mapping.z_dim, generator.mapping.num_classes
    gan = Gan(generator, discriminator, z_dim, discriminator.image_shape, num_classes, discriminator.layers)
    return gan, frozen_layers


def _config(case: Case, gan: Gan) -> Config:
    """The recipe of a case. The options of a run are those of a trajectory; single losses have none."""
    r1_gamma, shrink, decay, weight = entries(
        case.option("loss"), "r1_gamma", "pl_batch_shrink", "pl_decay", "pl_weight"
    )
    g_interval, d_interval = (case.option(f"{network}_reg_interval", 1) for network in "GD")
    batch = case.option("batch")
    batch_round = case.option("batch_gpu", batch)
    if batch % batch_round:
        raise AssertionError(f"{case.name}: batch {batch} is no multiple of batch_gpu {batch_round}")
    path_length = {"interval": g_interval, "batch_shrink": shrink, "weight": weight, "decay": decay}
    adam = _adam(case)
    return Config(
        network={"name": "stylegan2"},
        data=DataConfig(num_classes=gan.num_classes, channels=gan.image_shape[2]),
        batch_size=batch,
        g_regularizers={"path_length": path_length},
        d_regularizers={"r1": {"interval": d_interval, "gamma": r1_gamma}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=case.option("ema_kimg", 10.0), rampup=case.option("ema_rampup", None)),
        accumulation_rounds=batch // batch_round,
    )


def _adam(case: Case) -> OptimizerConfig:
    if "opt" not in case.options:
        return OptimizerConfig()
    learning_rate, (b1, b2), eps = entries(case.option("opt"), "lr", "betas", "eps")
    return OptimizerConfig(learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)


def _network(case: Case, module: Any, *inputs: np.ndarray, prefix: str, optimizer: Any) -> NetworkState:
    collections = variables(case, module, *inputs, prefix=prefix)
    params = collections.pop("params")
    return NetworkState(params, collections, optimizer.init(params))
