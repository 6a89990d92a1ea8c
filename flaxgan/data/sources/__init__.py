"""One module for each kind of data. Each defines `open(path, request: ImageSpec) -> Source`."""
