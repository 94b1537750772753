"""The wheel carries everything the package reads at run time, and asks for no more than it needs."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import gradual

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return zipfile.ZipFile(made)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "gradual"
    own = {
        file.relative_to(package.parent).as_posix()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    pages = {f"gradual/reporting/templates/{name}.html.j2" for name in ("run", "comparison", "page", "pieces")}
    assert {"gradual/py.typed", "gradual/data/atlas.jsonl.gz", *pages} <= own
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == own


def test_wheel_has_the_licence_and_the_command(wheel: zipfile.ZipFile) -> None:
    names = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert wheel.read(names["licenses/LICENSE"]) == (ROOT / "LICENSE").read_bytes()
    assert "gradual = gradual.cli.app:main" in wheel.read(names["entry_points.txt"]).decode()


def test_one_version_everywhere(metadata: Message) -> None:
    assert metadata["Version"] == gradual.__version__
    assert f"\nversion: {gradual.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert gradual.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_base_installation_needs_no_model_library(metadata: Message) -> None:
    base = {
        re.split(r"[<>=!~;\[ ]", requirement)[0]
        for requirement in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in requirement
    }
    assert base.isdisjoint({"accelerate", "datasets", "gguf", "peft", "torch", "transformers", "trl"})


def test_every_direct_requirement_is_pinned_exactly_for_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    base, build = project["project"]["dependencies"], project["build-system"]["requires"]
    wanted = [*base, *(each for name in ("train", "dev", "docs", "release") for each in extras[name]), *build]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins}
    assert {re.split(r"[<>=]", requirement)[0].lower() for requirement in wanted} <= pinned
