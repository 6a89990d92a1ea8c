"""flaxgan import-pkl: from network pickles to run folders that the other tools and train.py take."""

import functools
import pathlib
import re

import jax
import network_pickles
import numpy as np
import pickle_writer as writer
import pytest
import tiny_runs
from network_pickles import D_KWARGS, G_KWARGS, NETWORK, joined, states
from PIL import Image

from flaxgan.cli import inspect
from flaxgan.config import from_json
from flaxgan.convert.stylegan2 import read_network_pickle
from flaxgan.networks import stylegan2
from flaxgan.ops.image import to_uint8
from flaxgan.train import trained
from flaxgan.train.checkpoints import store
from flaxgan.train.step import binding

PICKLES = pathlib.Path(__file__).parent.parent / "goldens" / "pickles"
REAL = ("uncond16", "uncond16_proto3")

TOLERANCE = 2e-5  # Of tests/goldens/README.md for networks in float32, relative to the largest value.

# Every option at once, among them what our networks compute in another way: float16, which becomes float32.
SIZES = {"c_dim": 3, "img_resolution": 8, "img_channels": 1}
HALF = {"num_fp16_res": 2}
ALL_G = joined(
    G_KWARGS,
    **SIZES,
    mapping_kwargs={"embed_features": 4, "layer_features": 8},
    synthesis_kwargs=HALF | {"architecture": "resnet", "conv_clamp": 256, "resample_filter": [1, 4, 2, 1]},
)
ALL_D = joined(
    D_KWARGS,
    **SIZES,
    **HALF,
    architecture="skip",
    mapping_kwargs={"num_layers": 0, "embed_features": 4, "lr_multiplier": 0.1},
    block_kwargs={"freeze_layers": 99},
    epilogue_kwargs={"mbstd_group_size": 3},
)
ALL = NETWORK | {"image_shape": (8, 8, 1), "num_classes": 3, "d_mapping_layers": 0, "d_architecture": "skip"}
ALL |= {"g_architecture": "resnet", "embed_features": 4, "layer_features": 8, "mbstd_group_size": 3}


def write_all(path: pathlib.Path) -> pathlib.Path:
    pipe = writer.module_tree("AugmentPipe", {"xflip": 1}, {"p": np.float32(0.25)})
    taps = np.outer([1, 4, 2, 1], [1, 4, 2, 1]).astype(np.float32) / 64
    return network_pickles.write(
        path,
        ALL_G,
        ALL_D,
        network=ALL,
        g_state=states(ALL)["G"] | {"synthesis.b8.conv0.resample_filter": taps},
        augment_pipe=pipe,
        training_set_kwargs={"path": "a.zip"},
    )


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    with tiny_runs.quick_compilation():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, pathlib.Path]:
    """Run folders of the real pickles, and of one with every option."""
    folder = tmp_path_factory.mktemp("imported")
    pickles = {name: PICKLES / f"{name}.pkl" for name in REAL} | {"all": write_all(folder / "all.pkl")}
    for name, path in pickles.items():
        outcome = tiny_runs.flaxgan("import-pkl", path, "--out", folder / name)
        assert (outcome.code, outcome.err) == (0, "") and str(path) in outcome.out
    return {name: folder / name for name in pickles} | {"pickle": pickles["all"]}


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(PICKLES / "expected_uncond16.npz") as file:
        return dict(file)


def nhwc(images: np.ndarray) -> np.ndarray:
    return np.moveaxis(images, 1, -1)


def read_images(folder: pathlib.Path) -> np.ndarray:
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    return images if images.ndim == 4 else images[..., None]


def assert_same_bytes(found: np.ndarray, wanted: np.ndarray) -> None:
    """The same up to values next to a whole number, which rounding may cut to either side of it."""
    difference = np.abs(found.astype(int) - wanted.astype(int))
    assert found.shape == wanted.shape and difference.max() <= 1 and np.mean(difference) < 0.005


@functools.partial(jax.jit, static_argnums=0)
def apply(gan, variables, z, psi, labels=None):
    """Images with constant noise."""
    return gan.generator.apply(variables, z, labels, noise_mode="const", truncation_psi=psi)


def images_of_pickle(path: pathlib.Path, z: np.ndarray, psi: float, labels: np.ndarray | None = None) -> np.ndarray:
    """uint8 images of a pickle's average, without a run folder, in float32."""
    imported = read_network_pickle(path)
    gan = stylegan2.build(**{**imported.network, "dtype": "float32"})
    variables = {"params": imported.g_ema.params, "buffers": imported.g_ema.buffers}
    return np.asarray(to_uint8(apply(gan, variables, z, psi, labels)))


def test_images_are_those_of_the_reference(runs, expected):
    run = trained.load(runs["uncond16"])
    for key, psi in (("out/img_psi1", 1.0), ("out/img_psi07", 0.7)):
        images = apply(run.gan, run.variables, expected["in/z"], psi)
        golden = nhwc(expected[key])
        np.testing.assert_allclose(images, golden, rtol=0, atol=TOLERANCE * np.abs(golden).max())
        if psi == 1:
            assert_same_bytes(np.asarray(to_uint8(images)), expected["out/img_psi1_uint8_nhwc"])


def test_generator_and_discriminator_are_the_references_too(runs, expected):
    """G itself, not its average, and D, for training from here."""
    arrays, gan = store.read_all(store.locate(runs["uncond16"])), trained.load(runs["uncond16"]).gan
    g = {"params": arrays["g"]["params"], **arrays["g"]["variables"]}
    golden = nhwc(expected["out/img_psi1_G"])
    found = apply(gan, g, expected["in/z"], 1.0)
    np.testing.assert_allclose(found, golden, rtol=0, atol=TOLERANCE * np.abs(golden).max())
    logits = jax.jit(gan.discriminator.apply)({"params": arrays["d"]["params"]}, nhwc(expected["in/img"])).logits
    golden = expected["out/logits"][:, 0]
    np.testing.assert_allclose(logits, golden, rtol=0, atol=TOLERANCE * np.abs(golden).max())


def test_generate_makes_the_images_of_the_seeds(runs, expected, tmp_path):
    """The latents are those of the official generate.py: NumPy's RandomState(seed)."""
    seeds = range(len(expected["in/z"]))
    command = ["generate", runs["uncond16"], "--seeds", f"0-{len(seeds) - 1}", "--out", tmp_path]
    assert tiny_runs.flaxgan(*command).code == 0
    z = np.concatenate([np.random.RandomState(seed).randn(1, 16) for seed in seeds]).astype(np.float32)
    assert_same_bytes(read_images(tmp_path), images_of_pickle(PICKLES / "uncond16.pkl", z, 1.0))


def test_generate_with_every_option_and_a_class(runs, tmp_path):
    command = ["generate", runs["all"], "--seeds", "5,6", "--class", "2", "--psi", "0.7", "--out", tmp_path]
    assert tiny_runs.flaxgan(*command).code == 0
    z = np.concatenate([np.random.RandomState(seed).randn(1, 5) for seed in (5, 6)]).astype(np.float32)
    assert_same_bytes(read_images(tmp_path), images_of_pickle(runs["pickle"], z, 0.7, np.array([2, 2])))


def test_both_protocols_give_the_same_state(runs):
    facts = [inspect.describe(runs[name]) for name in REAL]
    assert facts[0]["digest"] == facts[1]["digest"]


def test_inspect_shows_the_networks(runs, expected):
    facts = inspect.describe(runs["uncond16"])
    without = ("resample_filter", "w_avg", "noise_const")
    for network, name in (("G", "g_parameters"), ("D", "d_parameters")):
        arrays = {key: array for key, array in expected.items() if key.startswith(f"state/{network}/")}
        assert facts[name] == sum(array.size for key, array in arrays.items() if not key.endswith(without))
    assert (facts["network"], facts["step"], facts["kimg"], facts["augment_p"]) == ("stylegan2", 0, 0, 0)
    assert inspect.describe(runs["all"])["augment_p"] == 0.25
    assert tiny_runs.flaxgan("inspect", runs["all"]).code == 0


@pytest.mark.parametrize("name", [*REAL, "all"])
def test_config_is_complete_and_that_of_the_checkpoint(runs, name):
    config = from_json((runs[name] / "config.json").read_text())
    assert config == store.read_config(store.locate(runs[name])) == binding.complete(config)
    assert config.data.path == "" and config.network["dtype"] == "float32"
    binding.build(config, (*config.data.resolution_px, config.data.channels))


def test_config_holds_what_the_pickle_says(runs):
    config = from_json((runs["all"] / "config.json").read_text())
    assert {name: config.network[name] for name in ALL if name in config.network} == {
        name: value for name, value in ALL.items() if name not in ("image_shape", "num_classes")
    }
    assert (config.data.resolution, config.data.channels, config.data.num_classes) == ((8, 8), 1, 3)
    assert config.freeze_d_layers == len(trained.load(runs["all"]).gan.d_layers)  # 99 in the pickle
    assert config.batch_size == 96  # Groups of 3 divide it.


def test_train_starts_from_an_imported_run_whose_networks_match(tiny_run, tmp_path):
    """The networks of the tiny recipe, from a pickle."""
    mapping = {"mapping_kwargs": {"num_layers": 1}}
    sizes = {"c_dim": 2, "img_resolution": 8, "img_channels": 3}
    blocks = {"channel_base": 64, "channel_max": 8}
    network = {"image_shape": (8, 8, 3), "num_classes": 2, "z_dim": 8, "w_dim": 8, "mapping_layers": 1}
    path = network_pickles.write(
        tmp_path / "network.pkl",
        {"z_dim": 8, "w_dim": 8, **sizes, **mapping, "synthesis_kwargs": blocks},
        {**sizes, **mapping, **blocks},
        network=network | blocks | {"d_mapping_layers": 1},
    )
    assert tiny_runs.flaxgan("import-pkl", path, "--out", tmp_path / "imported").code == 0
    overrides = [f"--config.init_from={tmp_path / 'imported'}", "--config.total_kimg=0.016"]
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tiny_run.data, *overrides))
    assert outcome.code == 0, outcome.err
    assert f"starting from {tmp_path / 'imported'}\n" in outcome.out
    assert "arrays loaded, 0 skipped, 0 new" in outcome.out
    noise, moved = [
        store.read_all(store.locate(tmp_path / name))["g"]["variables"]["buffers"] for name in ("imported", "run")
    ]
    jax.tree.map(np.testing.assert_array_equal, noise["synthesis"], moved["synthesis"])
    assert np.any(noise["mapping"]["w_avg"] != moved["mapping"]["w_avg"])


def test_an_existing_folder_is_refused(runs, tmp_path):
    (tmp_path / "file").write_text("")
    before = sorted(runs["all"].rglob("*"))
    for out in (runs["all"], tmp_path / "file"):
        outcome = tiny_runs.flaxgan("import-pkl", PICKLES / "uncond16.pkl", "--out", out)
        assert outcome.code == 1
        assert (
            outcome.err
            == f"error: --out: found {out}, which exists, allowed: a folder that does not exist or is empty\n"
        )
    assert sorted(runs["all"].rglob("*")) == before and (tmp_path / "file").read_text() == ""


def damaged(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A file that must not be imported."""
    path, weight = folder / f"{name}.pkl", states(NETWORK)["D"]["b8.conv0.weight"]
    tensors = {
        "stride": writer.tensor(weight, stride=(36, 9, 3, 2)),
        "offset": writer.tensor(weight, offset=1),
        "shape": writer.tensor(weight[:, :3]),
    }
    claims = {"memory": {"z_dim": 2**19, "w_dim": 2**19}, "activation": {"synthesis_kwargs": {"activation": "gelu"}}}
    attack = writer.Call(writer.Global("os", "system"), (f"touch {folder / 'attacked'}",))
    contents = {
        "malicious": {"G": attack, "D": attack, "G_ema": attack},
        "escape": {"G": writer.Call(writer.Global("o\ns", "sys\x1b[2Jtem"), ()), "D": {}, "G_ema": {}},
        "tensorflow": tuple(
            writer.Call(writer.Global("dnnlib.tflib.network", "Network"), (), opcode=b"\x81") for _ in range(3)
        ),
    }
    if name in tensors:
        return network_pickles.write(path, d_state=states(NETWORK)["D"] | {"b8.conv0.weight": tensors[name]})
    if name in claims:
        return network_pickles.write(path, joined(G_KWARGS, **claims[name]))
    if name in contents:
        path.write_bytes(writer.dumps(contents[name]))
    elif name == "truncated":
        path.write_bytes((PICKLES / "uncond16.pkl").read_bytes()[:-20_000])
    elif name == "text":
        path.write_text("no pickle at all")
    return path


REFUSALS = {
    "malicious": "global os.system is not allowed",
    "escape": r"global o\\ns.sys\\x1b\[2Jtem is not allowed",
    "truncated": "truncated",
    "stride": "D.b8.conv0.weight: size .* with stride .* does not lie inside its storage",
    "offset": "D.b8.conv0.weight: size .* at offset 1 does not lie inside its storage",
    "shape": "D.b8.conv0.weight: found shape .*, allowed: ",
    "memory": r"G.mapping.fc0.bias: found shape \(6,\), allowed: \(524288,\)",
    "activation": "activation: found 'gelu', allowed: ",
    "tensorflow": r"TensorFlow implementation .* legacy.py",
    "text": "not a pickle",
    "missing": "No such file",
}


@pytest.mark.parametrize(("name", "message"), REFUSALS.items(), ids=list(REFUSALS))
def test_a_refusal_is_one_line_that_names_the_file_and_nothing_is_written(tmp_path, name, message):
    path = damaged(name, tmp_path)
    outcome = tiny_runs.flaxgan("import-pkl", path, "--out", tmp_path / "run")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1 and outcome.err[:-1].isprintable()
    assert str(path) in outcome.err
    assert re.search(message, outcome.err)
    assert {found.name for found in tmp_path.iterdir()} <= {path.name}
