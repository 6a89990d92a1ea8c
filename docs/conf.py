"""Sphinx's settings for the site; `make docs` builds it."""

import os
import pathlib
import sys
import tomllib

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The site describes the code beside it, wherever another copy is installed.
sys.path[:0] = [str(ROOT), str(DOCS / "_ext")]

_package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

project = _package["name"]
author = "the flaxgan authors"
copyright = author
release = version = _package["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstring_markup",
    "recipe_pages",
    "reference_pages",
]

source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "settings"]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# Attributes are one list, not an entry for each beside those of autodoc.
napoleon_custom_sections = [("Reference", "References"), ("Attributes", "params_style")]

html_theme = "furo"
html_title = f"flaxgan {version}"
html_static_path = ["_static"]
html_css_files = ["flaxgan.css"]
html_show_sourcelink = False
html_show_copyright = False
pygments_style = "tango"
pygments_dark_style = "monokai"
copybutton_exclude = ".linenos, .gp, .go"
