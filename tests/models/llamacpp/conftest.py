"""Tiny GGUF files in llama.cpp: opened in a tenth of a second."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("tiny_gguf", Path(__file__).parents[1] / "local" / "tiny_gguf.py")
tiny_gguf = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny_gguf)


@pytest.fixture
def tiny_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that writes a tiny GGUF file; what is remembered of it lies beside it."""
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))

    def write(name: str = "tiny.gguf", **options: Any) -> Path:
        path: Path = tiny_gguf.write(tmp_path / name, **options)
        return path

    return write


@pytest.fixture
def opened() -> Iterator[Callable[..., Any]]:
    """Return a function that opens a file in llama.cpp; the models are closed at the end."""
    from pytest_pluralism.models import load_model

    models: list[Any] = []

    def load(path: Path | str) -> Any:
        models.append(load_model(str(path), gguf="llamacpp"))
        return models[-1]

    yield load
    for model in models:
        model.close()
