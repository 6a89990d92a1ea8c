"""One module per kind of data, each with `open(path, *, resolution, channels, num_classes) -> Source`."""
