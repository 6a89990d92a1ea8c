"""One module per kind of data, each with `open(path, request: ImageSpec) -> Source`."""
