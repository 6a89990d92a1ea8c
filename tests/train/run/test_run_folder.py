import dataclasses
import json

import pytest
import small_gans
from etils import epath

from flaxgan.config import from_json
from flaxgan.train.run import run_folder


def _with_data(config, **fields):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **fields))


@pytest.fixture
def config():
    return small_gans.config()


DATA = {"images": 20, "shape": [8, 8, 3], "classes": 2}


def _open(path, config, data=DATA, *, saved=True) -> run_folder.RunFolder:
    """The folder of a run that goes on; by default one that has saved a checkpoint."""
    folder = run_folder.RunFolder(epath.Path(path))
    run_folder.require_same_run(folder, config, data)
    run_folder.make(folder, config, data)
    if saved:
        (folder.checkpoints / "5").mkdir(parents=True, exist_ok=True)
    return folder


def test_new_folder_gets_its_config(tmp_path, config):
    folder = _open(tmp_path / "deep" / "run", config)
    assert from_json(folder.config.read_text()) == config
    assert json.loads(folder.data.read_text()) == DATA
    assert folder.samples.is_dir()
    for path in (folder.config, folder.data, folder.checkpoints, folder.samples, folder.log, folder.metrics):
        assert str(path.parent) == str(tmp_path / "deep" / "run")


def test_same_config_continues(tmp_path, config):
    _open(tmp_path, config)
    _open(tmp_path, config)


def test_a_run_from_before_a_network_had_an_option_continues(tmp_path, config):
    """The option then has its default, which is what the run had."""
    _open(tmp_path, config)
    older = json.loads((tmp_path / "config.json").read_text())
    assert older["network"].pop("d_architecture") == "resnet"
    (tmp_path / "config.json").write_text(json.dumps(older))
    _open(tmp_path, config)
    (tmp_path / "config.json").write_text(json.dumps(older))
    other = dataclasses.replace(config, network={**config.network, "d_architecture": "orig"})
    with pytest.raises(ValueError, match="network.d_architecture: 'resnet' there, 'orig' here"):
        _open(tmp_path, other)


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path, config):
    _open(tmp_path, config)
    other = dataclasses.replace(config, seed=9, network={**config.network, "z_dim": 4})
    with pytest.raises(ValueError) as error:
        _open(tmp_path, other)
    message = str(error.value)
    assert "  network.z_dim: 512 there, 4 here" in message and "  seed: 3 there, 9 here" in message
    assert message.count(" there, ") == 2 and "another --workdir" in message
    assert from_json((tmp_path / "config.json").read_text()) == config


def test_a_run_that_has_saved_nothing_may_start_again_with_another_config(tmp_path, config):
    _open(tmp_path, config, saved=False)
    other = dataclasses.replace(config, seed=9)
    folder = _open(tmp_path, other, {**DATA, "images": 9}, saved=False)
    assert from_json(folder.config.read_text()) == other


def test_other_images_are_refused(tmp_path, config):
    folder = _open(tmp_path, config)
    with pytest.raises(
        ValueError, match=r"other images than .* trained on: images 21 \(there 20\).*\nAllowed: the same"
    ):
        _open(tmp_path, config, {**DATA, "images": 21})
    _open(tmp_path, config, {**DATA, "names": "of a later version"})
    for damaged in ("", "[1]", "{"):
        folder.data.write_text(damaged)
        _open(tmp_path, config)


def test_a_run_may_become_longer_unless_its_learning_rate_depends_on_its_end(tmp_path, config):
    _open(tmp_path, config)
    folder = _open(tmp_path, dataclasses.replace(config, total_kimg=config.total_kimg + 1))
    assert from_json(folder.config.read_text()).total_kimg == config.total_kimg + 1
    decaying = dataclasses.replace(config.d_optimizer, decay="linear")
    config = dataclasses.replace(config, d_optimizer=decaying)
    _open(tmp_path / "decaying", config)
    with pytest.raises(ValueError, match="  total_kimg: "):
        _open(tmp_path / "decaying", dataclasses.replace(config, total_kimg=config.total_kimg + 1))


def test_data_may_have_moved(tmp_path, config):
    _open(tmp_path, config)
    moved = _with_data(config, path="/elsewhere", num_threads=3, hint="Ask us.")
    _open(tmp_path, moved)
    assert from_json((tmp_path / "config.json").read_text()) == moved
    with pytest.raises(ValueError, match="data.mirror: False there, True here"):
        _open(tmp_path, _with_data(config, mirror=True))


def test_nothing_is_written_by_checking(tmp_path, config):
    run_folder.require_same_run(run_folder.RunFolder(epath.Path(tmp_path / "new")), config, DATA)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, config):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run", "/proc/flaxgan-run"):
        with pytest.raises(ValueError, match=rf"--workdir: cannot write to {path}: "):
            _open(path, config)


def test_a_damaged_config_is_refused_by_the_name_of_the_file(tmp_path, config):
    (tmp_path / "config.json").write_text('{"network": ')
    with pytest.raises(ValueError, match=r"config.json: not JSON.*Use another --workdir"):
        _open(tmp_path, config)
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"config.json: not JSON.*Without this file the config of the last checkpoint"):
        _open(tmp_path, config)


def test_a_folder_is_for_one_program_at_a_time(tmp_path, config):
    folder = _open(tmp_path, config)
    second = run_folder.locked(folder)
    with run_folder.locked(folder), pytest.raises(ValueError, match=f"{tmp_path}, which is in use by another program"):
        second.__enter__()
    with run_folder.locked(folder):
        pass


def test_hosts_must_see_the_same_folder(tmp_path, config, monkeypatch):
    monkeypatch.setattr(run_folder, "SHARED_SECONDS", 0.0)
    folder = run_folder.RunFolder(epath.Path(tmp_path))
    with pytest.raises(ValueError, match=f"{tmp_path}, which is not the folder that process 0 writes to"):
        run_folder.require_shared(folder, config)
    _open(tmp_path, config)
    run_folder.require_shared(folder, _with_data(config, path="/of/this/host"))
    with pytest.raises(ValueError, match="is not the folder"):
        run_folder.require_shared(folder, dataclasses.replace(config, seed=9))


def test_an_earlier_checkpoint_is_gone_back_to_once(tmp_path, config):
    folder = _open(tmp_path, config)
    assert not run_folder.was_resumed(folder, 5)
    run_folder.note_resumed(folder, 5)
    assert run_folder.was_resumed(folder, 5) and not run_folder.was_resumed(folder, 4)


def test_a_line_without_its_end_is_completed(tmp_path):
    path = epath.Path(tmp_path / "log.jsonl")
    path.write_text('{"step": 1}\n{"step": 2}')
    run_folder.drop_after(path, 2)
    run_folder.append(path, {"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_lines_append_and_later_ones_are_dropped(tmp_path):
    path = epath.Path(tmp_path / "log.jsonl")
    for step in (0, 2, 4, 6):
        run_folder.append(path, {"step": step, "losses": {"g_main": 0.5}})
    run_folder.drop_after(path, 4)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 2, 4]
    run_folder.drop_after(path, -1)
    assert path.read_text() == ""


@pytest.mark.parametrize("torn", ['{"step": 3', '{"loss": 1}', "3", "[3]", "\x00\x00"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    path = epath.Path(tmp_path / "log.jsonl")
    path.write_text(f'{{"step": 2}}\n{torn}')
    run_folder.drop_after(path, 10)
    run_folder.append(path, {"step": 4})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [2, 4]


def test_dropping_lines_of_a_missing_file_makes_none(tmp_path):
    run_folder.drop_after(epath.Path(tmp_path / "log.jsonl"), 3)
    assert not (tmp_path / "log.jsonl").exists()
