"""Tiny random models, made once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradual.config import ModelConfig
from gradual.models import LoadedModel, load_model
from gradual.testing import make_tiny_model
from gradual.transformers_engine import TransformersEngine


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved random Llama with two layers."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def windowed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved random Mistral whose attention sees 16 tokens."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "mistral", sliding_window=16)


@pytest.fixture
def tiny(tiny_folder: Path) -> LoadedModel:
    """The tiny Llama, loaded in float32."""
    return load_model(ModelConfig(name_or_path=str(tiny_folder), dtype="float32", device="cpu"))


@pytest.fixture
def tiny_engine(tiny: LoadedModel) -> TransformersEngine:
    """An engine over the tiny Llama."""
    return TransformersEngine(tiny)
