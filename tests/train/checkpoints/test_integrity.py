"""Checkpoints and run folders that were damaged: whatever it is, one message names it, and nothing is changed."""

import pathlib
import random
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans
import tiny_runs
from etils import epath

from flaxgan import safe_write
from flaxgan.config import Config, from_json, to_json
from flaxgan.train.checkpoints import integrity, store
from flaxgan.train.checkpoints.store import Checkpoints, DamagedError, SaveError
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.run import run_folder


@pytest.fixture(scope="module")
def setup():
    return small_gans.setup_of()


@pytest.fixture(scope="module")
def saved(setup, tmp_path_factory):
    """(checkpoint, its digest) with a matrix so large that it lies in a file of its own."""
    root = tmp_path_factory.mktemp("run")
    state = small_gans.init(setup).replace(step=jnp.int32(5))
    params = {**state.d.params, "large": jax.random.normal(jax.random.key(0), (64, 64))}
    checkpoints = Checkpoints(root, keep=1)
    checkpoints.save(state.replace(d=state.d.replace(params=params)), setup.config)
    checkpoints.close()
    folder = store.locate(root)
    return folder, store.digest(store.read_all(folder))


def _harm(data: bytes, how: str, rng: random.Random) -> bytes | None:
    at = rng.randrange(len(data)) if data else 0
    return {
        "deleted": None,
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "flipped": data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        "garbage": rng.randbytes(len(data)),
        "other JSON": b'{"a": [1, 2]}',
        "nested": b"[" * 100_000,
    }[how]


def _kinds(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Of every kind of file in a checkpoint the largest one; the array store gives most of them names by chance."""
    files = [path for path in folder.rglob("*") if not path.is_dir() and not path.is_relative_to(folder / "ema")]
    by_size = sorted(files, key=lambda path: path.stat().st_size)
    kind = lambda path: re.sub("[0-9a-f]{32}", "*", str(path.relative_to(folder)))
    return {kind(path): path.relative_to(folder) for path in by_size}


NEEDED = {
    "config/metadata",
    "manifest/metadata",
    "train/_METADATA",
    "train/manifest.ocdbt",
    "train/d/*",
    "train/ocdbt.process_0/d/*",
}
"""What a checkpoint cannot be read without."""


@pytest.mark.parametrize("how", ["deleted", "empty", "truncated", "flipped", "garbage", "other JSON", "nested"])
def test_a_damaged_file_is_named_or_does_no_harm(saved, tmp_path, how):
    folder, digest = saved
    rng = random.Random(how)
    kinds, named = _kinds(pathlib.Path(folder)), set()
    assert kinds.keys() > NEEDED
    for kind, file in kinds.items():
        shutil.copytree(folder, tmp_path / "5")
        target = epath.Path(tmp_path / "5")
        data = _harm((target / file).read_bytes(), how, rng)
        (target / file).unlink() if data is None else (target / file).write_bytes(data)
        try:
            assert store.digest(store.read_all(target)) == digest, file
            store.read_config(target)
        except DamagedError as error:
            named.add(kind)
            assert str(error).startswith(f"{target}") and "\n" not in str(error) and len(str(error)) < 500
            place = pathlib.Path(re.match(r"(\S+): (damaged|not a)", str(error))[1])
            assert (pathlib.Path(folder) / place.relative_to(target)).exists(), error
        shutil.rmtree(tmp_path / "5")
    # A single bit may lie where nothing is read; the next test looks for one that is.
    assert named >= (NEEDED if how != "flipped" else {"train/manifest.ocdbt"}), NEEDED - named


def test_a_single_bit_of_a_large_array_is_noticed_and_the_array_named(saved, tmp_path):
    """The array store itself does not notice."""
    folder, _ = saved
    shutil.copytree(folder, tmp_path / "5")
    large = max((path for path in (tmp_path / "5" / "train").rglob("d/*")), key=lambda path: path.stat().st_size)
    for path in (tmp_path / "5" / "train").rglob("d/*"):
        if path.stat().st_size == large.stat().st_size:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 4
            path.write_bytes(data)
    with pytest.raises(DamagedError, match=r"/5.*damaged: d/params/large holds other numbers than were saved"):
        store.read_all(epath.Path(tmp_path / "5"))


@pytest.mark.parametrize("manifest", ["[1]", "{}", '{"checksums": {}}', '{"checksums": 1, "measured": {}}'])
def test_without_checksums_nothing_is_taken_for_sound(saved, tmp_path, manifest):
    shutil.copytree(saved[0], tmp_path / "5")
    (tmp_path / "5" / "manifest" / "metadata").write_text(manifest)
    with pytest.raises(DamagedError, match=r"/5/manifest/metadata: damaged: it holds no checksums"):
        store.read_all(epath.Path(tmp_path / "5"))


def test_checksums_see_every_bit_of_every_type():
    arrays = {"a": np.float32([1, 2]), "b": {"c": jnp.ones((2, 2), jnp.bfloat16), "d": np.int32(7)}}
    sums = integrity.checksums(arrays)
    assert sums.keys() == {"a", "b/c", "b/d"} and all(isinstance(value, int) for value in sums.values())
    integrity.check_checksums(epath.Path("x"), arrays, sums)
    integrity.check_checksums(epath.Path("x"), arrays, {})
    with pytest.raises(DamagedError, match="x: damaged: b/d holds"):
        integrity.check_checksums(epath.Path("x"), {**arrays, "b": {**arrays["b"], "d": np.int32(5)}}, sums)


def test_lack_of_memory_is_not_damage(tmp_path):
    with pytest.raises(MemoryError), integrity.naming_damage(epath.Path(tmp_path)):
        raise MemoryError


def _copy(tiny_run, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run.workdir, workdir)
    return workdir


def _listing(workdir) -> list[str]:
    return sorted(str(path.relative_to(workdir)) for path in pathlib.Path(workdir).rglob("*"))


def test_the_checkpoint_before_a_damaged_one_is_used_when_asked_for(tiny_run, tmp_path):
    workdir = _copy(tiny_run, tmp_path)
    damaged = workdir / "checkpoints" / "12" / "train" / "manifest.ocdbt"
    damaged.write_bytes(damaged.read_bytes()[:50])
    command, before = tiny_runs.command("rgb", workdir, tiny_run.data), _listing(workdir)

    refused = tiny_runs.train(command)
    assert refused.code == 1
    first, second = refused.err.splitlines()
    assert first.startswith(f"error: {workdir}/checkpoints/12/train/manifest.ocdbt: damaged: ")
    assert "that of step 6: the same command with --resume=6 continues there" in second
    assert _listing(workdir) == before

    ended = tiny_runs.train([*command, "--resume=6"])
    assert ended.code == 0, ended.err
    assert "at step 6" in ended.out and f"later checkpoints are now in {workdir}/set_aside: 12" in ended.out
    assert (workdir / "set_aside" / "12" / "train" / "manifest.ocdbt").stat().st_size == 50
    digest = lambda run: store.digest(store.read_all(store.locate(run)))
    assert digest(workdir) == digest(tiny_run.workdir)
    assert [line["step"] for line in tiny_runs.read_lines(workdir / "log.jsonl")] == [2, 4, 6, 8, 10, 12]

    # The same command, as a scheduler repeats it, does not go back again.
    shutil.rmtree(workdir / "checkpoints" / "6")
    again = tiny_runs.train([*command, "--resume=6"])
    assert again.code == 0 and "--resume=6 was done before" in again.out and "at step 12" in again.out
    assert [path.name for path in (workdir / "set_aside").iterdir() if path.is_dir()] == ["12"]


def test_without_an_earlier_checkpoint_there_is_no_way_on(tiny_run, tmp_path):
    workdir = _copy(tiny_run, tmp_path)
    shutil.rmtree(workdir / "checkpoints" / "6")
    shutil.rmtree(workdir / "checkpoints" / "12" / "ema")
    refused = tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data))
    assert refused.code == 1 and "There is no earlier checkpoint" in refused.err
    assert refused.err.startswith(f"error: {workdir}/checkpoints/12: not a checkpoint, or not a complete one")


@pytest.mark.parametrize("value, allowed", [("7", "6, 12"), ("first", "latest, or the step of a checkpoint")])
def test_a_step_to_resume_from_must_be_there(tiny_run, tmp_path, value, allowed):
    outcome = tiny_runs.train([*tiny_runs.command("rgb", _copy(tiny_run, tmp_path), tiny_run.data), "--resume", value])
    assert outcome.code == 1 and outcome.err.startswith("error: --resume: found ")
    assert f"allowed: {allowed}" in outcome.err


@pytest.mark.parametrize("command", [["inspect"], ["generate", "--seeds=0", "--out=x.png"]])
def test_tools_name_the_damaged_file(tiny_run, tmp_path, command):
    workdir = _copy(tiny_run, tmp_path)
    (workdir / "checkpoints" / "12" / "ema" / "_METADATA").write_text('{"tree_metadata": ')
    outcome = tiny_runs.flaxgan(command[0], workdir, *command[1:])
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert outcome.err.startswith(f"error: {workdir}/checkpoints/12/ema/_METADATA: damaged: JSONDecodeError")


def test_checkpoints_that_are_no_folder_are_refused_before_compilation(tiny_run, tmp_path, monkeypatch):
    workdir = _copy(tiny_run, tmp_path)
    shutil.rmtree(workdir / "checkpoints")
    (workdir / "checkpoints").write_text("")
    outcome = tiny_runs.train(tiny_runs.command("rgb", workdir, tiny_run.data))
    assert outcome.code == 1 and outcome.err.startswith(f"error: {workdir}/checkpoints: ")
    assert "compiling" not in outcome.out and outcome.err.count("\n") == 1


@pytest.fixture
def full_disk():
    """No file of this process may grow beyond some bytes: what a full disk does, for anyone."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_message_and_the_last_checkpoint_is_intact(setup, tmp_path, full_disk, capfd):
    state = small_gans.init(setup)
    at = lambda step: state.replace(step=jnp.int32(step))
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(at(1), setup.config)
    checkpoints.wait()
    full_disk(512)
    with pytest.raises(SaveError) as error:
        checkpoints.save(at(2), setup.config)
        checkpoints.wait()
    full_disk(-1)
    message = f"{tmp_path}: step 2 cannot be saved: File too large; the last good checkpoint is that of step 1"
    assert str(error.value) == message
    assert "Traceback" not in capfd.readouterr().err
    checkpoints.close()
    again = Checkpoints(tmp_path, keep=1)
    assert again.latest_step() == 1
    again.restore(1, compilation.abstract_state(setup, device_mesh.data_mesh()))
    again.save(at(2), setup.config)
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_a_save_that_failed_is_noticed_at_the_next_tick(setup, tmp_path, full_disk):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.check()
    full_disk(512)
    with pytest.raises(SaveError, match="step 3 cannot be saved: .*; there is no checkpoint yet"):
        checkpoints.save(small_gans.init(setup).replace(step=jnp.int32(3)), setup.config)
        while True:
            checkpoints.check()
    full_disk(-1)
    checkpoints.close()


def test_a_log_that_cannot_be_written_to_is_named(tmp_path):
    path = epath.Path("/dev/full")
    if not path.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        run_folder.append(path, {"step": 1})


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path, full_disk):
    path = epath.Path(tmp_path / "config.json")
    safe_write.write_whole(path, "old")
    full_disk(8)
    with pytest.raises(OSError):
        safe_write.write_whole(path, "new, and longer")
    full_disk(-1)
    assert path.read_text() == "old"


def _mutations(text: str, count: int) -> list[bytes]:
    """Copies of a text with a few bytes or words changed, moved, left out or doubled."""
    rng = random.Random(0)
    words = re.findall(r'"[^"]*"|[\w.+-]+|\s+|.', text)
    values = ("null", "true", "-1", "1e999", "NaN", '""', "[]", "{}", "9" * 400, '"\\ud800"', "[" * 2000, "\x00", "1.5")
    found = []
    for _ in range(count):
        new = list(words)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(new))
            change = rng.randrange(4)
            new[at : at + 1] = [[], [rng.choice(values)], [new[at]] * 2, [rng.choice(words)]][change]
        data = bytearray("".join(new).encode(errors="surrogatepass"))
        if rng.random() < 0.3:
            data[rng.randrange(len(data))] = rng.randrange(256)
        found.append(bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data))
    return found


def test_a_damaged_config_is_a_config_or_one_message(tmp_path):
    """Of 300 damaged ones, most are refused, by the name of the file or of the field."""
    config = small_gans.config()
    path, refused = tmp_path / "config.json", 0
    folder = run_folder.RunFolder(epath.Path(tmp_path))
    (folder.checkpoints / "5").mkdir(parents=True)
    for data in _mutations(to_json(config), 300):
        path.write_bytes(data)
        try:
            run_folder.require_same_run(folder, config, {})
        except ValueError as error:
            refused += 1
            assert str(path) in str(error) or "another config" in str(error), data
            assert path.read_bytes() == data
    assert refused > 250


def test_a_damaged_log_keeps_its_good_lines(tmp_path):
    lines = [f'{{"step": {step}, "losses": {{"g": 0.5}}}}' for step in range(0, 40, 2)]
    path = epath.Path(tmp_path / "log.jsonl")
    for data in _mutations("\n".join(lines), 200):
        path.write_bytes(data)
        whole = set(lines[:11]) & set(data.decode(errors="replace").splitlines())
        run_folder.drop_after(path, 20)
        found = tiny_runs.read_lines(path)
        assert all(line["step"] <= 20 for line in found)
        assert whole <= set(path.read_text().splitlines())


def test_configs_read_from_damaged_text_are_valid(tmp_path):
    for data in _mutations(to_json(small_gans.config()), 300):
        try:
            assert isinstance(from_json(data.decode(errors="replace")), Config)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"performance_metrics": true}'])
def test_a_file_that_orbax_cannot_bear_is_named_and_can_be_deleted(saved, tmp_path, content):
    folder, _ = saved
    shutil.copytree(folder, tmp_path / "5")
    (tmp_path / "5" / "_CHECKPOINT_METADATA").write_bytes(content)
    with pytest.raises(DamagedError, match=r"\*/_CHECKPOINT_METADATA: one is damaged: .* can be deleted"):
        Checkpoints(tmp_path, keep=1)
    (tmp_path / "5" / "_CHECKPOINT_METADATA").unlink()
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.steps() == [5]
    checkpoints.close()
