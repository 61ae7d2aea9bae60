"""A source distribution holds the tests and the notices, and two builds of one commit have the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


@pytest.mark.slow
def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    built = []
    for number in range(2):
        copy, out = tmp_path / f"copy{number}", tmp_path / f"out{number}"
        left_out = shutil.ignore_patterns(".git", "fixtures", "*.egg-info", "__pycache__", ".*_cache", ".tox", "build")
        shutil.copytree(ROOT, copy, ignore=left_out)
        out.mkdir()
        (copy / "README.md").touch()
        env = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
        subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=copy, env=env, check=True, capture_output=True)
        (file,) = out.iterdir()
        subprocess.run([sys.executable, ROOT / "tools" / "settled_sdist.py", file], env=env, check=True)
        built.append(file)
    assert built[0].read_bytes() == built[1].read_bytes()
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert {member.mtime for member in archive.getmembers()} == {1767225600}
    assert {"LICENSE", "NOTICE", "tests/core/test_verdict.py", "tests/golden/report.json", "tox.ini"} <= names
    assert not [name for name in names if name.startswith("fixtures/") or name.endswith(".pyc")]
