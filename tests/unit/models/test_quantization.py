"""What a quantised model needs is asked for before anything is loaded."""

from __future__ import annotations

from importlib import util

import pytest

from gradual.config.model import ModelConfig
from gradual.errors import ConfigError, ModelError
from gradual.models.quantization import check_quantization, placement_fingerprint, placement_options


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    check_quantization(ModelConfig(name_or_path="m"))
    with pytest.raises(ModelError, match=r"nf4 needs the package bitsandbytes, found none - .*\[quant\]"):
        check_quantization(ModelConfig(name_or_path="m", quantization="nf4"))


def test_a_device_that_cannot_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    check_quantization(ModelConfig(name_or_path="m", quantization="int8", device="cuda:1"))
    with pytest.raises(ModelError, match=r"int8 needs one of cpu, cuda, xpu, found model\.device mps"):
        check_quantization(ModelConfig(name_or_path="m", quantization="int8", device="mps"))


def test_a_model_as_it_is_asks_for_nothing_and_keeps_its_fingerprint() -> None:
    plain, spread = ModelConfig(name_or_path="m"), ModelConfig(name_or_path="m", device_map="auto")
    assert placement_options(plain, "cpu", None) == {}
    assert placement_options(spread, "cpu", None) == {"device_map": "auto"}
    assert placement_fingerprint(plain) == placement_fingerprint(spread) == {}


def test_devices_are_chosen_once() -> None:
    with pytest.raises(ValueError, match=r"device_map: auto chooses the devices, found device: cuda:0 as well") as told:
        ModelConfig(name_or_path="m", device="cuda:0", device_map="auto")
    assert not isinstance(told.value, ConfigError)  # pydantic's own, which `parse_config` puts into one line
