"""Every safety that the script takes out stands in the source as the script has it, and its tests are there."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from tests.support.scripts import ROOT, load_script

SAFETIES = load_script("break_safeties").SAFETIES


@pytest.mark.parametrize("safety", SAFETIES, ids=lambda safety: safety.name)
def test_a_safety_stands_once_in_its_module_and_the_broken_code_is_still_python(safety: Any) -> None:
    source = (ROOT / "src" / "gradual" / safety.module).read_text(encoding="utf-8")
    assert source.count(safety.text) == 1
    ast.parse(source.replace(safety.text, safety.broken))


@pytest.mark.parametrize("test", sorted({test for safety in SAFETIES for test in safety.tests}))
def test_the_tests_that_should_notice_are_there(test: str) -> None:
    file, _, function = test.partition("::")
    assert f"def {function}" in (ROOT / file).read_text(encoding="utf-8")
