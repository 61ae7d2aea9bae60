"""Sphinx configuration: Markdown pages, and the reference rendered from docstrings."""

from __future__ import annotations

import pytest_pluralism

project = "pytest-pluralism"
author = "The pytest-pluralism maintainers"
release = version = pytest_pluralism.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pytest-pluralism"
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
