import numpy as np
import pytest

from flaxgan.train.evaluation import snapshot_metrics


def test_class_quality_needs_classes():
    message = "config.metrics: found 'class_quality' with config.data.num_classes=0, allowed: .* at least 2 classes"
    with pytest.raises(ValueError, match=message):
        snapshot_metrics.class_quality(np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32), num_classes=0, seed=0)


def test_class_quality_trains_once_and_judges_many_times(monkeypatch):
    trained = []
    monkeypatch.setattr(
        snapshot_metrics, "train_classifier", lambda *args, **kwargs: trained.append((args, kwargs)) or "judge"
    )
    monkeypatch.setattr(snapshot_metrics.quality, "class_quality", lambda *args: args)
    reals, labels = np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32)
    measure = snapshot_metrics.class_quality(reals, labels, num_classes=4, seed=7)
    fakes = np.ones((2, 8, 8, 1), np.uint8)
    assert measure(fakes, labels[:2])[0] == "judge" and measure(fakes, labels[:2])[2] is fakes
    ((arguments, settings),) = trained
    assert arguments == (reals, labels) and settings == {"num_classes": 4, "seed": 7}
