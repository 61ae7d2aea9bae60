"""Sphinx configuration: Markdown pages, and the reference rendered from docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest_pluralism

sys.path.insert(0, str(Path(__file__).parent))

project = "pytest-pluralism"
author = "The pytest-pluralism maintainers"
release = version = pytest_pluralism.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "mathml",
    "accessible",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["pluralism.css"]
html_title = "pytest-pluralism"
html_show_copyright = False
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False
