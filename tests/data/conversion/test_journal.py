import pytest

from flaxgan.data.conversion.journal import Journal, Row

ROWS = [Row(0, "a.png", 10, 11, "ab"), Row(1, skipped="b.png: the file is empty"), Row(2, "c.png", 20, 22, "cd")]


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.append(ROWS[:1])
    journal.append(ROWS[1:])
    assert journal.rows == ROWS
    journal.close()
    return tmp_path / "journal"


def test_rows_are_read_again_and_added_to(path):
    journal = Journal(path)
    assert journal.rows == ROWS
    journal.append([Row(3, "d.png", 1, 2, "ef")])
    journal.close()
    journal = Journal(path)
    journal.close()
    assert [row.index for row in journal.rows] == [0, 1, 2, 3]


@pytest.mark.parametrize("count", range(4))
def test_rows_behind_some_are_dropped_for_good(path, count):
    journal = Journal(path)
    journal.cut(count)
    assert journal.rows == ROWS[:count]
    journal.append([Row(count, "new.png")])
    journal.close()
    journal = Journal(path)
    journal.close()
    assert journal.rows == [*ROWS[:count], Row(count, "new.png")]


@pytest.mark.parametrize(
    "tail", [b"[3", b'[3, "d.png", 1, 2, "ef", null]', b"\n", b"{}\n", b'[7, "h.png"]\n', b"\xff\n", bytes(100)]
)
def test_what_is_no_whole_row_is_cut_off(path, tail):
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    journal = Journal(path)
    assert journal.rows == ROWS
    journal.close()
    assert path.read_bytes() == whole


def test_cut_anywhere_whole_rows_are_left(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        journal = Journal(path)
        journal.close()
        assert journal.rows == ROWS[: whole[:length].count(b"\n")]
