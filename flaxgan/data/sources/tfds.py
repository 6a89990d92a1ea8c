"""A set that TFDS has prepared as array_record files, read without TensorFlow.

data.path names it: NAME[/CONFIG][:VERSION][:SPLIT][?image=KEY&label=KEY], such as "cifar10" or
"celeb_a:train[:90%]?label=attributes"; a folder, such as "/data/tfds/cifar10:test", reads it there. Labels are a class,
a whole number, a list of numbers, or named numbers such as CelebA's attributes; the last two are vectors. To know all
labels, every record is read once; they are then kept in $XDG_CACHE_HOME/flaxgan (~/.cache/flaxgan).
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

_FORMAT = "array_record"


def open(path: str | os.PathLike[str], request: ImageSpec) -> Source:
    """Opens a prepared TFDS set; see `flaxgan.data.open_source`.

    Raises:
      FileNotFoundError: if it is not prepared, with the command that prepares it.
      ValueError: if it is prepared in another form than array_record, or has no such split or feature.
    """
    field_checks.check_image_channels(request.channels)
    if not path:
        raise ValueError(f"data.path is empty. {tfds_layout.SYNTAX}")
    found = TfdsFiles(os.fspath(path))
    return image_files.open_files(found, None if request.num_classes == 0 else found.labels(), request)


class TfdsFiles:
    """The images of a prepared TFDS set; see `flaxgan.data.formats.image_files.Files`."""

    def __init__(self, path: str):
        self._argument = path
        self._place = tfds_layout.parse(path)
        self._folder = tfds_layout.locate(self._place)
        self.path = f"TFDS {self._folder}, split {self._place.split}"
        self._features, self._examples = _open(self._folder, self._place.split, self.path)
        self._image = _image_key(self._features, self._place.image, self.path)
        self.names = tuple(f"record {index}" for index in range(len(self._examples)))
        self.num_ignored = 0

    def __reduce__(self) -> tuple:
        # Open files do not travel between processes: they are opened again there.
        return TfdsFiles, (self._argument,)

    def read(self, index: int) -> bytes:
        where = self.where(index)
        try:
            image = self._examples[index][self._image]
        except RuntimeError as error:
            raise records.read_error(where, error) from error
        except Exception as error:  # a damaged record raises anything
            raise ImageError(f"{where}: the record cannot be read; it may be damaged ({error})") from error
        return image

    def head(self, index: int) -> bytes:
        return self.read(index)

    def where(self, index: int) -> str:
        return f"{self.path}: {self.names[index]}"

    def labels(self) -> labels.Labels | None:
        """The labels of all records, where the set has labels."""
        key = tfds_labels.label_key(self._features, self._place.label, self.path)
        if key is None:
            return None
        identity = f"{_identity(self._folder)}\n{self._place.split}"
        return tfds_labels.collect(self._examples, key, self._features[key], identity=identity, where=self.path)


def _open(folder: epath.Path, split: str, where: str) -> tuple[Mapping[str, Any], Any]:
    """The features of a set by name, and a split's examples, whose images are bytes."""
    import tensorflow_datasets as tfds  # slow to import, and only this source needs it

    try:
        builder = tfds.builder_from_directory(os.fspath(folder))
        found = sorted(form.value for form in builder.info.available_file_formats())
    except Exception as error:  # damaged files raise anything
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
    except Exception as error:  # a malformed split raises anything
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


def _identity(folder: epath.Path) -> str:
    """What tells this set's files from those of any other, or of the same set prepared anew."""
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return "\n".join([os.fspath(folder), *(f"{name} {stat.length} {stat.mtime}" for name, stat in stats)])
