"""Dry run: prints parameters, devices, steps, and optionally the costs of compiled programs. Needs no data."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from flaxgan.config import Config
from flaxgan.errors import FieldError
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation, preflight
from flaxgan.train.step import binding, training_setup
from flaxgan.types import Gan


def show(config: Config, *, compile_too: bool) -> None:
    """Prints the dry run of a completed config.

    Args:
      config: the completed config.
      compile_too: whether to compile the programs and print their costs.

    Raises:
      ValueError: if a mistake in the config can be found without data.
    """
    height_width = config.data.resolution_px
    if height_width is None:
        raise FieldError("config.data.resolution", None, "a size with --dry-run, which reads no data")
    if compile_too:
        preflight.check_accelerator(config.accelerator)
    mesh = device_mesh.data_mesh()
    constrain = device_mesh.constrain_batch(mesh)
    setup = binding.build(config, (*height_width, config.data.channels), constrain=constrain)
    preflight.check_batch(setup)
    for line in (*_tables(setup.gan), *_plan(setup)):
        print(line)
    if compile_too:
        for number in range(len(setup.stages)):
            for line in _costs(compilation.compile_all(setup.at(number), mesh, say=print)):
                print(line)


def layers(module: Any, *inputs: Any) -> list[tuple[str, int, int, str]]:
    """Lists the layers that own arrays; allocates nothing.

    Args:
      module: a Linen module.
      *inputs: arguments of its call, which may be ShapeDtypeStructs.

    Returns:
      (path, number of parameters, number of other variables, output shape) of each layer.
    """
    order: list[tuple[str, ...]] = []

    def init(key: jax.Array, *inputs: Any) -> Any:
        rngs = {"params": key, "noise": key}
        _, variables = module.init_with_output(rngs, *inputs, capture_intermediates=True, mutable=True)
        order.extend(traverse_util.flatten_dict(variables["params"]))  # jit would sort the names
        return variables

    variables = dict(jax.eval_shape(init, jax.random.key(0), *inputs))
    outputs = traverse_util.flatten_dict(variables.pop("intermediates", {}))
    counts: dict[tuple[str, ...], list[int]] = {path[:-1]: [0, 0] for path in order}
    for collection, tree in variables.items():
        for path, array in traverse_util.flatten_dict(tree).items():
            at = 0 if collection == "params" else 1
            counts.setdefault(path[:-1], [0, 0])[at] += int(np.prod(array.shape))
    return [("/".join(path), params, others, _shape(outputs, path)) for path, (params, others) in counts.items()]


def _shape(outputs: dict[tuple[str, ...], Any], path: tuple[str, ...]) -> str:
    found = jax.tree.leaves(outputs.get((*path, "__call__"), ()))
    return str(list(found[0].shape)) if found else ""


def _tables(gan: Gan) -> Iterator[str]:
    labels = jax.ShapeDtypeStruct((1,), "int32") if gan.num_classes else None
    z = jax.ShapeDtypeStruct((1, gan.z_dim), "float32")
    images = jax.ShapeDtypeStruct((1, *gan.image_shape), "float32")
    yield from _table("generator", layers(gan.generator, z, labels))
    yield from _table("discriminator", layers(gan.discriminator, images, labels))


def _table(title: str, rows: list[tuple[str, int, int, str]]) -> Iterator[str]:
    width = max(len(title), *(len(row[0]) for row in rows))
    yield f"{title:<{width}} {'parameters':>12} {'buffers':>12}  output"
    for path, params, others, shape in rows:
        yield f"{path:<{width}} {params:>12,} {others:>12,}  {shape}"
    yield f"{'total':<{width}} {sum(r[1] for r in rows):>12,} {sum(r[2] for r in rows):>12,}"
    yield ""


def _plan(setup: training_setup.TrainingSetup) -> Iterator[str]:
    config = setup.config
    per_device = config.batch_size // jax.device_count()
    yield f"devices    {jax.device_count()} {jax.default_backend()} on {jax.process_count()} host(s)"
    yield f"batch      {config.batch_size}, {per_device} a device, in {config.accumulation_rounds} round(s)"
    if config.d_steps > 1 or config.g_batch_size or config.g_accumulation_rounds:
        g_batch = f"{setup.batch_size('g')} images in {setup.rounds('g')} round(s)"
        yield f"updates    {config.d_steps} of D for one of G, on {g_batch}"
    yield f"steps      {setup.total_steps:,} for {config.total_kimg:g} kimg"
    for stage in setup.stages if len(setup.stages) > 1 else ():
        height, width, _ = stage.image_shape
        rate = "" if stage.learning_rate is None else f", learning rate {stage.learning_rate:g}"
        yield (
            f"  {height}x{width:<9} from {stage.first_image / 1000:,.0f} kimg: {stage.num_steps:,} steps, "
            f"batch {stage.batch_size}, fade {stage.fade_images / 1000:g} kimg{rate}"
        )
    yield f"snapshots  every {config.snapshot_kimg:g} kimg, and at the end"


def _costs(programs: list[compilation.Program]) -> Iterator[str]:
    yield ""
    yield f"{'program':<16} {'every':>5} {'GFLOP':>10} {'arguments':>10} {'temporary':>10} {'compiled in':>11}"
    for program in programs:
        costs, memory = program.run.cost_analysis() or {}, program.run.memory_analysis()
        bytes_needed = (memory.argument_size_in_bytes, memory.temp_size_in_bytes) if memory else (0, 0)
        sizes = [f"{size / 2**20:>6.0f} MiB" for size in bytes_needed]
        gflop = costs.get("flops", 0) / 1e9
        numbers = f"{program.interval:>5} {gflop:>10.2f} {sizes[0]:>10} {sizes[1]:>10} {program.seconds:>9.1f} s"
        yield f"{program.name:<16} {numbers}"
