"""The program train.py from end to end, with tiny networks."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_runs
from PIL import Image

from flaxgan.config import from_json
from flaxgan.train.checkpoints import store
from flaxgan.train.evaluation import snapshot_metrics
from flaxgan.train.programs import compilation


@pytest.fixture
def no_compilation(monkeypatch):
    """Fails the test if a program of a training step is lowered."""

    def refused(*unused, **settings):
        raise AssertionError("compiled before the mistake was found")

    monkeypatch.setattr(compilation, "lower_all", refused)


def _shape(path: pathlib.Path) -> tuple[int, ...]:
    with Image.open(path) as picture:
        return np.asarray(picture).shape


def test_a_run_leaves_everything_in_its_folder(tiny_run):
    root = tiny_run.workdir
    config = from_json((root / "config.json").read_text())
    assert config.data.resolution == (8, 8) and config.data.path == str(tiny_run.data)
    assert sorted(path.name for path in (root / "samples").iterdir()) == ["fakes000000.png", "reals.png"]
    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == ["12", "6"]
    assert len(list(root.glob("events.out.tfevents.*"))) == 1
    # Ten rows of two classes, 8 pixels enlarged to 64 with a gap.
    assert _shape(root / "samples" / "reals.png") == _shape(root / "samples" / "fakes000000.png") == (680, 136, 3)


def test_reals_have_a_column_for_each_class(tiny_run):
    with Image.open(tiny_run.workdir / "samples" / "reals.png") as picture:
        picture = np.asarray(picture)
    dark, bright = picture[:, :68].mean(), picture[:, 68:].mean()
    assert 50 < dark < 90 and 150 < bright < 190


def test_log_has_speed_losses_and_memory_of_each_tick(tiny_run):
    log = tiny_run.log()
    assert [line["step"] for line in log] == [2, 4, 6, 8, 10, 12]
    assert [line["kimg"] for line in log] == pytest.approx([0.008 * line["step"] for line in log])
    for line in log:
        assert line["sec_per_kimg"] > 0 and line["memory_gib"] > 0 and 0 <= line["data_wait_share"] <= 1
        assert {"g_main", "g_path_length", "d_main"} <= line["losses"].keys()
        assert np.isfinite(list(line["losses"].values())).all()
        norms = {f"{name}/gradient_norm" for name in line["losses"]}
        others = {"d_main/real_logits", "d_main/fake_logits", "augment_p", "pl_mean"}
        assert norms | others == line["statistics"].keys()
    # R1 runs at steps 0, 4 and 8, counted from the first.
    assert ["d_r1" in line["losses"] for line in log] == [True, False, True, False, True, False]


def test_what_is_printed_says_what_compiles_and_how_the_run_goes(tiny_run):
    out = tiny_run.outcome.out
    assert tiny_run.outcome.err == ""
    lines = out.splitlines()
    assert lines[0].startswith("data: 20 images of 8x8x3, 2 classes, from ")
    assert lines[1] == f"devices: {jax.device_count()} {jax.default_backend()}, 8 images a step"
    for name in ("g_main", "g_path_length", "d_main", "d_r1", "advance"):
        assert f"compiling {name} ..." in lines and any(line.startswith(f"compiled {name} in ") for line in lines)
    ticks = [line for line in lines if line.startswith("step ")]
    assert len(ticks) == 6 and all("sec/kimg" in line and "ETA" in line and "GiB" in line for line in ticks)
    assert lines[-1] == f"done: {tiny_run.workdir}, samples in {tiny_run.workdir}/samples"


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny_run, tmp_path):
    again = tiny_runs.finished(tmp_path / "again", "rgb", tiny_run.data)
    digests = [store.digest(store.read_all(store.locate(run.workdir))) for run in (tiny_run, again)]
    assert digests[0] == digests[1]
    for one, other in zip(tiny_run.log(), again.log(), strict=True):
        assert (one["losses"], one["statistics"]) == (other["losses"], other["statistics"])


def test_one_channel_with_classes_and_measures(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_metrics, "train_classifier", lambda *unused, **settings: None)
    judged = lambda classifier, reals, fakes, labels: {"agreement": np.float32(0.5), "images": len(fakes) / 1}
    monkeypatch.setattr(snapshot_metrics.quality, "class_quality", judged)
    run = tiny_runs.finished(tmp_path / "run", "grey", None)
    metrics = tiny_runs.read_lines(run.workdir / "metrics.jsonl")
    assert [(line["step"], line["agreement"], line["images"]) for line in metrics] == [
        (0, 0.5, 20),
        (6, 0.5, 20),
        (12, 0.5, 20),
    ]
    assert "measured: agreement 0.500" in run.outcome.out
    assert _shape(run.workdir / "samples" / "fakes000000.png") == (680, 680)
    assert run.log()[-1]["losses"].keys() == {"g_main", "d_main"}


def test_four_channels_not_square_without_labels_with_adaptive_augmentation(tmp_path):
    run = tiny_runs.finished(tmp_path / "run", "rgba", tiny_runs.write_zip(tmp_path / "images.zip", (8, 12, 4)))
    height, width, channels = _shape(run.workdir / "samples" / "fakes000000.png")
    assert channels == 4 and height % (8 * 6 + 4) == 0 and width % (12 * 6 + 4) == 0
    p = [line["statistics"]["augment_p"] for line in run.log()]
    # It moves by 16 images of 100 at every second step, up or down.
    moves = np.abs(np.diff([0, *p]))
    assert np.all(np.isclose(moves, 0.16, atol=1e-6) | (np.array(p) == 0)) and max(p) > 0
    assert "augment p" in run.outcome.out
    inspected = json.loads(tiny_runs.flaxgan("inspect", run.workdir, "--json").out)
    assert inspected["augment_p"] == pytest.approx(p[-1])
    out = tmp_path / "image.png"
    assert tiny_runs.flaxgan("generate", run.workdir, "--seeds=0", "--out", out).code == 0
    assert _shape(out)[2] == 4


def test_ctrl_c_in_another_process_saves_and_ends_without_a_traceback(tiny_run, tmp_path):
    arguments = tiny_runs.command("rgb", tmp_path / "run", tiny_run.data, "--config.total_kimg=1000000")
    program = [sys.executable, "-u", str(tiny_runs.ROOT / "train.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, env=tiny_runs.environment(), cwd=tmp_path, **pipes) as process:
        for line in process.stdout:
            if line.startswith("step "):
                process.send_signal(signal.SIGINT)
                break
        rest, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    step = int(rest[rest.index("stopped after step ") :].split()[3].rstrip(","))
    inspected = json.loads(tiny_runs.flaxgan("inspect", tmp_path / "run", "--json").out)
    assert inspected["step"] == step and inspected["kimg"] == pytest.approx(0.008 * step)


def test_a_mistake_in_another_process_ends_without_a_traceback(tmp_path):
    outcome = tiny_runs.train_elsewhere(tiny_runs.command("rgb", tmp_path / "run", tmp_path / "nowhere"))
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err.startswith("error: config.data.path: found ") and "does not exist" in outcome.err
    assert "Traceback" not in outcome.err and outcome.err.count("\n") == 1


MISTAKES = {
    "missing data": (
        ["--config.data.path=nowhere"],
        ["config.data.path: found 'nowhere'", "does not exist", "folder of PNG"],
    ),
    "no path": (["--config.data.path="], ["config.data.path: found ''"]),
    "resolution": (["--config.data.resolution=16"], ["000.png", "8x8", "16x16", "data.resolution"]),
    "resolution of the network": (["--config.data.resolution=9x9"], ["9x9"]),
    "classes": (["--config.data.num_classes=3"], ["data.num_classes", "3", "2"]),
    "source": (["--config.data.source=web"], ["config.data.source: found 'web'", "digits, folder"]),
    "stddev group": (["--config.batch_size=6"], ["config.batch_size: found 6", "group_size: found 4"]),
    "rounds": (
        ["--config.accumulation_rounds=3"],
        ["config.accumulation_rounds: found 3", "a divisor of batch_size 8"],
    ),
    "shrink": (
        ["--config.g_regularizers.path_length.batch_shrink=3"],
        ["config.g_regularizers.path_length.batch_shrink: found 3", "a divisor of 8"],
    ),
    "loss": (["--config.loss=l2"], ["config.loss", "'l2'", "non_saturating"]),
    "preset": (
        ["--config.augment.policy=ada", "--config.augment.preset=all"],
        ["config.augment.preset", "'all'", "bgc"],
    ),
    "metric": (["--config.metrics=fid9"], ["config.metrics", "'fid9'", "class_quality"]),
    "network value": (["--config.network.g_architecture=old"], ["config.network", "g_architecture", "'old'", "skip"]),
    "accelerator": (["--config.accelerator=tpu"], ["config.accelerator", "tpu", "has only", "accelerator=any"]),
    "seed": (["--config.seed=4294967296"], ["config.seed: found 4294967296", "0 to 2**32 - 1"]),
    "length": (["--config.total_kimg=0"], ["config.total_kimg: found 0", "above 0"]),
    "frozen layers": (["--config.freeze_d_layers=99"], ["config.freeze_d_layers: found 99", "0 to "]),
    "start": (["--config.init_from=nowhere"], ["init_from", "nowhere"]),
}


@pytest.mark.parametrize("overrides, words", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message_before_compilation(tiny_run, tmp_path, no_compilation, monkeypatch, overrides, words):
    monkeypatch.setattr("jax.default_backend", lambda: "cpu")
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tiny_run.data, *overrides))
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err.startswith("error: ") and "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_batch_that_the_devices_do_not_divide():
    outcome = tiny_runs.train_elsewhere(["--config", f"{tiny_runs.RECIPE}:rgba", "--dry-run"], devices=3)
    assert outcome.code == 1 and outcome.out == ""
    message = "error: config.batch_size: found 8, allowed: a multiple of 3 (3 device(s) x accumulation_rounds 1)"
    assert outcome.err.strip() == message


def test_an_empty_folder(tmp_path, no_compilation):
    (tmp_path / "data").mkdir()
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tmp_path / "data"))
    assert outcome.code == 1 and outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert str(tmp_path / "data") in outcome.err and "PNG" in outcome.err


def test_an_image_of_another_size(tiny_run, tmp_path, no_compilation):
    shutil.copytree(tiny_run.data, tmp_path / "data")
    Image.new("RGB", (9, 8)).save(tmp_path / "data" / "class0" / "004.png")
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tmp_path / "data"))
    assert outcome.code == 1
    for word in ("class0/004.png", "8x9", "8x8"):
        assert word in outcome.err


def test_labels_out_of_range(tmp_path, no_compilation):
    data = tiny_runs.write_folder(tmp_path / "data", (8, 8, 3), num_classes=1)
    labels = [[f"class0/{index:03d}.png", index % 3] for index in range(tiny_runs.NUM_IMAGES)]
    (data / "dataset.json").write_text(json.dumps({"labels": labels}))
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", data))
    assert outcome.code == 1
    for word in ("dataset.json", "class0/002.png", "label 2", "0 to 1", "data.num_classes"):
        assert word in outcome.err


def test_a_folder_that_cannot_be_written_to(tiny_run, tmp_path, no_compilation):
    (tmp_path / "file").write_text("")
    for workdir in (tmp_path / "file" / "run", pathlib.Path("/proc/flaxgan-run")):
        outcome = tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data))
        assert outcome.code == 1 and outcome.err.startswith(f"error: --workdir: cannot write to {workdir}: ")


def test_a_folder_of_another_run(tiny_run, no_compilation):
    before = (tiny_run.workdir / "config.json").read_text()
    outcome = tiny_runs.train([*tiny_run.arguments, "--config.seed=1", "--config.network.z_dim=4"])
    assert outcome.code == 1
    for text in ("another config", "network.z_dim: 8 there, 4 here", "seed: 0 there, 1 here", "another --workdir"):
        assert text in outcome.err
    assert outcome.err.count(" there, ") == 2
    assert (tiny_run.workdir / "config.json").read_text() == before


def test_data_may_have_moved_when_a_run_goes_on(tiny_run, tmp_path):
    shutil.copytree(tiny_run.workdir, tmp_path / "run")
    shutil.copytree(tiny_run.data, tmp_path / "elsewhere")
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tmp_path / "elsewhere"))
    assert outcome.code == 0 and "nothing to do" in outcome.out


def test_unknown_fields_end_with_code_2_and_a_suggestion(tmp_path, no_compilation):
    outcome = tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", None, "--config.batchsize=8"))
    assert outcome.code == 2 and "Perhaps you meant" in outcome.err and "--config.batch_size" in outcome.err


def test_a_traceback_is_shown_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("FLAXGAN_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        tiny_runs.train(tiny_runs.command("rgb", tmp_path / "run", tmp_path / "nowhere"))
