import concurrent.futures
import pickle

from flaxgan.data.errors import ImageError
from flaxgan.data.skipped import MAX_NAMED, Skipped


def test_nothing_skipped():
    skipped = Skipped()
    assert len(skipped) == 0 and not skipped and skipped.summary() is None and 3 not in skipped


def test_each_image_is_counted_and_named_once(caplog):
    skipped = Skipped()
    for index in (5, 2, 5):
        skipped.note(index, ImageError(f"{index}.png: empty"))
    assert len(skipped) == 2 and 5 in skipped and 3 not in skipped
    assert caplog.messages == ["skipped image 1: 5.png: empty", "skipped image 2: 2.png: empty"]
    assert skipped.summary().splitlines()[1:] == ["  2.png: empty", "  5.png: empty"]
    assert len(pickle.loads(pickle.dumps(skipped))) == 2


def test_of_many_the_first_are_named_and_then_powers_of_two_are_counted(caplog):
    skipped = Skipped()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: skipped.note(index % 100, ImageError(f"{index % 100}.png")), range(1000)))
    assert len(skipped) == 100
    assert sum("skipped image" in message for message in caplog.messages) <= MAX_NAMED
    summary = skipped.summary().splitlines()
    assert summary[0].startswith("100 images could not be used") and summary[-1] == "  and 90 more"
    assert [line.strip() for line in summary[1:-1]] == [f"{index}.png" for index in range(MAX_NAMED)]
