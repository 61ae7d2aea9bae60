"""Every Python snippet of the pages is run as a test, in the order of its page.

A snippet that defines tests for pytest, or needs a whole model, has ``<!-- skip: next -->`` before it.
"""

from __future__ import annotations

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
).pytest()
