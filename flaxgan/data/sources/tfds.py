"""Sets that TFDS has prepared as array_record files, read without TensorFlow.

data.path names the set: NAME[/CONFIG][:VERSION][:SPLIT][?image=KEY&label=KEY], such as "cifar10" or
"celeb_a:train[:90%]?label=attributes"; a folder instead of NAME, such as "/data/tfds/cifar10:test", is read directly.
Labels are a class, an integer, a list of numbers, or named numbers such as the attributes of CelebA; the last two are
vectors. The first use of a set reads every record once to collect the labels, which are then cached in
$XDG_CACHE_HOME/flaxgan (~/.cache/flaxgan).
"""

import os
from collections.abc import Mapping
from typing import Any

from etils import epath

from flaxgan.data import field_checks
from flaxgan.data.errors import ImageError
from flaxgan.data.formats import image_files, labels, records, tfds_labels, tfds_layout
from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.source import Source
from flaxgan.errors import FieldError

_FORMAT = "array_record"


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens a prepared TFDS set; see `flaxgan.data.open_source`.

    Raises:
      FileNotFoundError: if the set is not prepared; the message has the command that prepares it.
      FieldError: if the syntax of the path is wrong.
      ValueError: if the set is prepared in another format than array_record, or has no such split or feature.
    """
    field_checks.check_image_channels(request.channels)
    if not path:
        raise FieldError("config.data.path", "", tfds_layout.SYNTAX)
    found = TfdsFiles(os.fspath(path))
    return image_files.open_files(found, None if request.num_classes == 0 else found.labels(), request)


class TfdsFiles:
    """The images of a prepared TFDS set; see `flaxgan.data.formats.image_files.Files`."""

    def __init__(self, path: str) -> None:
        self._argument = path
        self._place = tfds_layout.parse(path)
        self._folder = tfds_layout.locate(self._place)
        self.path = f"TFDS {self._folder}, split {self._place.split}"
        self._features, self._examples = _open(self._folder, self._place.split, self.path)
        self._image = _image_key(self._features, self._place.image, self.path)
        self.names = tuple(f"record {index}" for index in range(len(self._examples)))
        self.num_ignored = 0

    def __reduce__(self) -> tuple:
        # Open files do not travel between processes: another process opens them again.
        return TfdsFiles, (self._argument,)

    def read(self, index: int) -> bytes:
        """Reads a whole image file."""
        where = self.where(index)
        try:
            image = self._examples[index][self._image]
        except RuntimeError as error:
            raise records.read_error(where, error) from error
        except Exception as error:  # A damaged record raises anything.
            raise ImageError(f"{where}: the record cannot be read; it may be damaged ({error})") from error
        return image

    def head(self, index: int) -> bytes:
        """Reads a whole image file: records are not read in parts."""
        return self.read(index)

    def where(self, index: int) -> str:
        """Returns the name of an image in messages."""
        return f"{self.path}: {self.names[index]}"

    def labels(self) -> labels.Labels | None:
        """Collects the labels of all records; None if the set has no labels."""
        key = tfds_labels.label_key(self._features, self._place.label, self.path)
        if key is None:
            return None
        cache_key = f"{_file_stats(self._folder)}\n{self._place.split}"
        return tfds_labels.collect(self._examples, key, self._features[key], cache_key=cache_key, where=self.path)


def _open(folder: epath.Path, split: str, where: str) -> tuple[Mapping[str, Any], Any]:
    """Opens a set; returns its features by name and the examples of a split, whose images are bytes."""
    import tensorflow_datasets as tfds  # Slow to import, and only this source needs it.

    try:
        builder = tfds.builder_from_directory(os.fspath(folder))
        found = sorted(form.value for form in builder.info.available_file_formats())
    except Exception as error:  # Damaged files raise anything.
        raise ValueError(f"{where}: the set's description cannot be read ({error})") from error
    if _FORMAT not in found:
        raise ValueError(
            f"{where}: is prepared as {', '.join(found) or 'nothing'}; allowed: {_FORMAT}. Prepare it again in another "
            f"folder: {_preparation(builder.info)}"
        )
    features = builder.info.features
    kept = {name: tfds.decode.SkipDecoding() for name in _image_features(features)}
    try:
        examples = builder.as_data_source(split, decoders=kept, file_format=_FORMAT)
        num_examples = len(examples)
    except Exception as error:  # A malformed split raises anything.
        raise ValueError(f"{where}: no such split ({error}); allowed: {', '.join(builder.info.splits)}") from error
    if not num_examples:
        raise ValueError(f"{where}: the split is empty")
    return features, examples


def _preparation(info: Any) -> str:
    name = "/".join(filter(None, (info.name, info.config_name)))
    return tfds_layout.preparation(name, "ANOTHER_FOLDER", version=str(info.version))


def _image_features(features: Mapping[str, Any]) -> list[str]:
    import tensorflow_datasets as tfds

    return sorted(name for name, feature in features.items() if isinstance(feature, tfds.features.Image))


def _image_key(features: Mapping[str, Any], wanted: str | None, where: str) -> str:
    images = _image_features(features)
    if not images:
        raise ValueError(f"{where}: has no images, only {', '.join(sorted(features))}")
    if wanted not in images and (wanted or len(images) > 1):
        found = f"no image {wanted!r}" if wanted else "several images"
        raise ValueError(f"{where}: has {found}; allowed: one of {', '.join(images)}, as ?image=KEY")
    return wanted or images[0]


def _file_stats(folder: epath.Path) -> str:
    """Returns text that identifies the files of a set: it differs for another set, or if the set is prepared again."""
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return "\n".join([os.fspath(folder), *(f"{name} {stat.length} {stat.mtime}" for name, stat in stats)])
