import dataclasses
import json

import pytest
import small_gans
from etils import epath

from flaxgan.config import from_json
from flaxgan.train import run_folder


def _with_data(config, **fields):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **fields))


@pytest.fixture
def config():
    return small_gans.config()


def test_new_folder_gets_its_config(tmp_path, config):
    folder = run_folder.open_run(tmp_path / "deep" / "run", config)
    assert from_json(folder.config.read_text()) == config
    assert folder.samples.is_dir()
    for path in (folder.config, folder.checkpoints, folder.samples, folder.log, folder.metrics):
        assert str(path.parent) == str(tmp_path / "deep" / "run")


def test_same_config_continues(tmp_path, config):
    run_folder.open_run(tmp_path, config)
    run_folder.open_run(tmp_path, config)


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path, config):
    run_folder.open_run(tmp_path, config)
    other = dataclasses.replace(config, seed=9, network={**config.network, "z_dim": 4})
    with pytest.raises(ValueError) as error:
        run_folder.open_run(tmp_path, other)
    message = str(error.value)
    assert "  network.z_dim: 512 there, 4 here" in message and "  seed: 3 there, 9 here" in message
    assert message.count(" there, ") == 2 and "another --workdir" in message
    assert from_json((tmp_path / "config.json").read_text()) == config


def test_data_may_have_moved(tmp_path, config):
    run_folder.open_run(tmp_path, config)
    moved = _with_data(config, path="/elsewhere", num_threads=3, hint="Ask us.")
    run_folder.open_run(tmp_path, moved)
    assert from_json((tmp_path / "config.json").read_text()) == moved
    with pytest.raises(ValueError, match="data.mirror: False there, True here"):
        run_folder.open_run(tmp_path, _with_data(config, mirror=True))


def test_a_process_that_does_not_write_still_checks(tmp_path, config):
    run_folder.open_run(tmp_path / "new", config, write=False)
    assert not (tmp_path / "new").exists()
    run_folder.open_run(tmp_path / "old", config)
    with pytest.raises(ValueError, match="seed: 3 there, 9 here"):
        run_folder.open_run(tmp_path / "old", dataclasses.replace(config, seed=9), write=False)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, config):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run", "/proc/flaxgan-run"):
        with pytest.raises(ValueError, match=rf"--workdir: cannot write to {path}: "):
            run_folder.open_run(path, config)


def test_a_damaged_config_is_refused_by_the_name_of_the_file(tmp_path, config):
    (tmp_path / "config.json").write_text('{"network": ')
    with pytest.raises(ValueError, match=r"config.json: not JSON.*Use another --workdir"):
        run_folder.open_run(tmp_path, config)


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
