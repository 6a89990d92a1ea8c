"""Tiny training runs, in this process or another."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from unittest import mock

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
RECIPE = pathlib.Path(__file__).parent / "tiny_recipe.py"

NUM_IMAGES = 20


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclasses.dataclass(frozen=True)
class TinyRun:
    """A run folder, and the command that made it."""

    workdir: pathlib.Path
    data: pathlib.Path
    arguments: list[str]
    outcome: Outcome

    def log(self) -> list[dict]:
        return read_lines(self.workdir / "log.jsonl")


def command(variant: str, workdir: pathlib.Path, data: pathlib.Path | None, *overrides: str) -> list[str]:
    """The arguments of train.py for a variant of the tiny recipe."""
    path = [f"--config.data.path={data}"] if data else []
    return ["--config", f"{RECIPE}:{variant}", "--workdir", str(workdir), *path, *overrides]


def finished(workdir: pathlib.Path, variant: str, data: pathlib.Path | None) -> TinyRun:
    """A run of a variant, trained to its end."""
    arguments = command(variant, workdir, data)
    outcome = train(arguments)
    if outcome.code:
        raise AssertionError(f"train.py ended with {outcome.code}: {outcome.err}")
    return TinyRun(workdir, data, arguments, outcome)


def train(arguments: list[str]) -> Outcome:
    """Runs train.py in this process. The programs of one config are compiled once a session."""
    import train as program

    return _outcome(lambda: program.main(arguments))


def flaxgan(*arguments: object) -> Outcome:
    """Runs the flaxgan command in this process."""
    from flaxgan import cli

    return _outcome(lambda: cli.main([str(argument) for argument in arguments]))


def images(trained, z: np.ndarray, labels: np.ndarray | None, **options) -> np.ndarray:
    """What a loaded generator makes, float [N, H, W, C], by one call of it."""
    import jax

    make = lambda z, labels: trained.gan.generator.apply(
        trained.variables, z, labels, rngs={"noise": jax.random.key(0)}, **options
    )
    with quick_compilation():
        return np.asarray(jax.jit(make)(z, labels))


def environment(*, devices: int = 1) -> dict[str, str]:
    """The environment of a subprocess on the CPU with so many virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": flags.strip()}


def train_elsewhere(arguments: list[str], *, devices: int = 1) -> Outcome:
    """Runs train.py in a subprocess."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        env=environment(devices=devices),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


_quick = 0


@contextlib.contextmanager
def quick_compilation() -> Iterator[None]:
    """Less optimization, which tiny programs do not miss. Other settings that a program made are undone afterwards."""
    import jax

    global _quick
    precision = jax.config.jax_default_matmul_precision
    _quick += 1
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        _quick -= 1
        jax.config.update("jax_disable_most_optimizations", _quick > 0)
        jax.config.update("jax_default_matmul_precision", precision)


def write_folder(folder: pathlib.Path, shape: tuple[int, int, int], *, num_classes: int = 2) -> pathlib.Path:
    """A folder of images with one sub-folder for each class."""
    for index, image in enumerate(_images(shape, num_classes)):
        path = folder / f"class{index % num_classes}" / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def write_zip(path: pathlib.Path, shape: tuple[int, int, int]) -> pathlib.Path:
    """A ZIP of images without labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for index, image in enumerate(_images(shape, 1)):
            data = io.BytesIO()
            image.save(data, "PNG")
            archive.writestr(f"{index:03d}.png", data.getvalue())
    return path


def read_lines(path: pathlib.Path) -> list[dict]:
    """The objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def _images(shape: tuple[int, int, int], num_classes: int) -> Iterator[Image.Image]:
    """Noise around a brightness that depends on the class."""
    random = np.random.default_rng(0)
    for index in range(NUM_IMAGES):
        level = 60 + 120 * (index % num_classes)
        pixels = random.integers(level - 50, level + 50, shape).astype(np.uint8)
        yield Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels)


def _outcome(run) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), quick_compilation(), _compiled_once():
        try:
            code = run()
        except SystemExit as exit:
            code = exit.code
    return Outcome(code, out.getvalue(), err.getvalue())


_programs: dict[str, list] = {}


@contextlib.contextmanager
def _compiled_once() -> Iterator[None]:
    """Shares compiled programs between runs of one config, wherever their data lie."""
    from flaxgan.config import to_json
    from flaxgan.train.programs import compilation

    compile_all = compilation.compile_all

    def compile_once(setup, mesh, *, say, **settings):
        data = dataclasses.replace(setup.config.data, path="")
        key = f"{setup.stage_number} {to_json(dataclasses.replace(setup.config, data=data))}"
        if key not in _programs:
            _programs[key] = compile_all(setup, mesh, say=say, **settings)
        return _programs[key]

    with mock.patch.object(compilation, "compile_all", compile_once):
        yield
