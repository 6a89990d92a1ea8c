"""Network pickles, imported and run through our networks, against pickles/expected_*.npz.

A pickle X.pkl is described by expected_X.npz; X_proto3.pkl, the same networks in another pickle protocol, by the same.
"""

import functools
import pathlib
import re
from collections.abc import Callable
from typing import Any

import goldens
import jax
import jax.numpy as jnp
import pytest
from goldens import Case, Suite, nchw, nhwc

from flaxgan.augment.spec import AugmentSpec
from flaxgan.convert.module_records import ModuleRecord
from flaxgan.convert.stylegan2 import ImportedNetworks, NetworkVariables, check_shapes, convert
from flaxgan.convert.unpickle import read_records
from flaxgan.networks import stylegan2
from flaxgan.ops.image import to_uint8

suite = Suite(__name__, float32=2e-5, float64=5e-7, whole_file=True)

HALF_PRECISION = 2e-2  # Our half precision against the reference's, which is 8e-3 off the exact numbers.


def pickles() -> list[pathlib.Path]:
    """All pickles of the folder."""
    return sorted(goldens.FOLDER.rglob("*.pkl"))


def expectation(path: pathlib.Path) -> pathlib.Path:
    """The file that says what a pickle holds."""
    own = path.with_name(f"expected_{path.stem}.npz")
    return own if own.exists() else path.with_name(f"expected_{re.sub(r'_proto[0-9]+$', '', path.stem)}.npz")


@pytest.mark.parametrize("path", pickles(), ids=lambda path: path.stem)
def test_every_pickle_has_an_expectation(path):
    assert expectation(path).exists(), f"no {expectation(path).name} describes {path}"


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("expected_*", inputs=["in/*", "state/*"])
def run_pickles(case: Case):
    paths = [path for path in pickles() if expectation(path).stem == case.name]
    case.check("there is a pickle", bool(paths))
    for path in paths:
        records = read_records(path)
        modules = dict(records.networks)
        if records.augment_pipe is not None:
            modules["augment_pipe"] = records.augment_pipe
        _check_states(case, path.stem, modules)
        imported = convert(records)
        _check_configuration(case, path.stem, modules, imported)
    # The networks of all these pickles are the same, as the checks above say.
    _compare_outputs(case, imported)


def _check_states(case: Case, name: str, modules: dict[str, ModuleRecord]) -> None:
    """The tensors are those of the state_dicts, bit for bit."""
    states = {module: record.state_dict() for module, record in modules.items()}
    found = {f"state/{module}/{key}": array for module, state in states.items() for key, array in state.items()}
    case.check(f"{name} has the tensors of the states", set(found) == set(case.keys("state/*")))
    for key, array in found.items():
        case.input(key)
        golden = case.arrays[key]
        same = (array.dtype, array.shape, array.tobytes()) == (golden.dtype, golden.shape, golden.tobytes())
        case.check(f"{name}: {key} is the same", same)


def _check_configuration(case: Case, name: str, modules: dict[str, ModuleRecord], imported: ImportedNetworks) -> None:
    """Constructor arguments, and which tensors are parameters, are those of the options."""
    pipe = modules.get("augment_pipe")
    found = {
        "G_init_kwargs": modules["G"].init_kwargs,
        "D_init_kwargs": modules["D"].init_kwargs,
        "augment_kwargs": None if pipe is None else pipe.init_kwargs,
        "D_param_names": _tensor_names(modules["D"], lambda record: record.parameters),
        "D_buffer_names": _tensor_names(modules["D"], lambda record: record.buffers),
    }
    options = case.option("cfg")
    for key in sorted({*found, "fp16_blocks", *options}):
        case.check(f"{name} is described by the known option {key}", key in options and key in {*found, "fp16_blocks"})
    for key, value in found.items():
        case.check(f"{name} has the {key} of the options", _frozen(value) == options.get(key))
    uses_half = imported.network.get("dtype", "float32") == "float16"
    case.check(f"{name} has half precision as the options say", uses_half == bool(options.get("fp16_blocks")))
    frozen = {key.replace(".", "/") for key in found["D_buffer_names"] if not key.endswith("resample_filter")}
    frozen_layers = stylegan2.build(**{**imported.network, "dtype": "float32"}).d_layers[: imported.d_frozen_layers]
    case.check(f"{name} has frozen layers", {key.rpartition("/")[0] for key in frozen} == set(frozen_layers))
    if pipe is not None:
        spec = AugmentSpec(**imported.augment)
        case.check(
            f"{name} has an augmentation", all(getattr(spec, key) == value for key, value in imported.augment.items())
        )
        case.check(f"{name} has its probability", imported.augment_p == float(case.arrays["state/augment_pipe/p"]))


def _compare_outputs(case: Case, imported: ImportedNetworks) -> None:
    """What the networks make of the inputs, in this run's precision throughout, as the goldens were made."""
    gan = stylegan2.build(**{**imported.network, "dtype": "float32"})
    z, labels, images = case.input("in/z"), case.input("in/c"), nhwc(case.input("in/img"))
    expected = jax.eval_shape(gan.generator.init, jax.random.key(0), z, labels)
    g_ema, g = (_variables(case, variables, expected) for variables in (imported.g_ema, imported.g))
    d = _variables(case, imported.d, jax.eval_shape(gan.discriminator.init, jax.random.key(0), images, labels))

    case.compare("out/ws", jax.jit(functools.partial(gan.generator.apply, method="map"))(g_ema, z, labels))
    generate = jax.jit(gan.generator.apply, static_argnames=["noise_mode"])
    sample = generate(g_ema, z, labels, noise_mode="const", truncation_psi=1.0)
    case.compare("out/img_psi1", nchw(sample))
    case.compare("out/img_psi07", nchw(generate(g_ema, z, labels, noise_mode="const", truncation_psi=0.7)))
    case.compare("out/img_psi1_nonoise", nchw(generate(g_ema, z, labels, noise_mode="none", truncation_psi=1.0)))
    case.compare("out/img_psi1_G", nchw(generate(g, z, labels, noise_mode="const", truncation_psi=1.0)))
    case.compare("out/logits", jax.jit(gan.discriminator.apply)(d, images, labels).logits[:, None])
    # A value next to a whole number may be cut to either side of it.
    case.compare("out/img_psi1_uint8_nhwc", to_uint8(sample), tolerance=1.0, scale=1.0)
    if "out/img_psi1_reference_fp16" in case.arrays:
        # The reference allows float16 without a clamp; the largest number of the type is none.
        clamp = imported.network["conv_clamp"] or float(jnp.finfo(jnp.float16).max)
        options = {**imported.network, "conv_clamp": clamp, "d_low_precision_resolutions": 0}
        half = stylegan2.build(**options).generator
        sample = jax.jit(functools.partial(half.apply, noise_mode="const"))(g_ema, z, labels)
        case.compare("out/img_psi1_reference_fp16", nchw(sample), tolerance=HALF_PRECISION)


def _variables(case: Case, variables: NetworkVariables, expected: Any) -> dict[str, Any]:
    """The variables in this run's precision; names and shapes are checked against the network's own."""
    found = {"params": variables.params, **({"buffers": variables.buffers} if variables.buffers else {})}
    check_shapes(found, expected, case.name)
    return jax.tree.map(lambda array: jnp.asarray(array, case.dtype), found)


def _tensor_names(record: ModuleRecord, own: Callable[[ModuleRecord], dict], prefix: str = "") -> list[str]:
    names = [f"{prefix}{name}" for name in own(record)]
    return names + [
        name for child, part in record.children.items() for name in _tensor_names(part, own, f"{prefix}{child}.")
    ]


def _frozen(value: Any) -> Any:
    """Plain data as options are: tuples for lists."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return {key: _frozen(item) for key, item in value.items()} if isinstance(value, dict) else value
