import pytest

from flaxgan.data.conversion.record_buffer import RecordBuffer

RECORDS = [b"first", b"", b"\xff" * 100, b"last"]


@pytest.fixture
def path(tmp_path):
    spool = RecordBuffer(tmp_path / "spool")
    for data in RECORDS:
        spool.add(data)
    spool.commit()
    spool.close()
    return tmp_path / "spool"


def test_records_are_had_again_and_added_to(path):
    spool = RecordBuffer(path, 4)
    assert list(spool.records()) == RECORDS
    spool.add(b"more")
    assert list(spool.records()) == [*RECORDS, b"more"]
    spool.remove()
    assert not path.exists()


def test_what_does_not_count_is_cut_off(path):
    path.write_bytes(path.read_bytes() + b"\x99 half a record")
    for count in (4, 2, 0):
        spool = RecordBuffer(path, count)
        assert list(spool.records()) == RECORDS[:count]
        spool.add(b"more")
        assert list(spool.records()) == [*RECORDS[:count], b"more"]
        spool.close()


def test_file_that_is_too_short_is_refused(path):
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="spool: is shorter than it was"):
            RecordBuffer(path, 4)
    path.write_bytes(b"\xff" * 50)
    with pytest.raises(ValueError, match="spool: is shorter than it was"):
        RecordBuffer(path, 2)
