"""Builds wheel and sdist, checks both, and tries the wheel in empty environments, without the extras.

    python scripts/check_release.py --out build/release                  # this Python
    python scripts/check_release.py --out build/release --python python3.13 --lowest

Needs a package index, for `build`, twine and the package's own requirements. `--lowest` installs each of these at its
lower bound. Ends with the first command that fails, and its output.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
"""With this in the environment pip installs the versions that `make` installs."""
HEAVY = {"accelerate", "datasets", "peft", "torch", "transformers", "trl"}
"""What only the extra `train` may install."""


def lower_bounds(requirements: Sequence[str]) -> list[str]:
    """The requirements, each at its lower bound; one without a bound is left out."""
    found = (re.match(r"([A-Za-z0-9_.-]+)(?:\[\w+\])?>=([0-9.]+)", each) for each in requirements)
    return [f"{each[1]}=={each[2]}" for each in found if each]


def run(*command: str | Path, expected: int = 0, env: Mapping[str, str] | None = None) -> str:
    """What a command prints; ends the script where its exit code is not the one expected."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode != expected:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}, expected {expected}\n{done.stdout}")
    return done.stdout


def build(out: Path) -> Path:
    """The wheel, made from the sdist, which lies beside it; twine has checked both."""
    dist = out / "dist"
    run(sys.executable, "-m", "build", "--outdir", dist, ROOT, env=PINNED)
    venv.create(out / "tools", with_pip=True)
    run(out / "tools" / "bin" / "pip", "install", "-qq", *PROJECT["optional-dependencies"]["release"], env=PINNED)
    print(run(out / "tools" / "bin" / "twine", "check", "--strict", *sorted(dist.iterdir())).strip())
    (wheel,) = dist.glob("*.whl")
    return wheel


def make_run(folder: Path) -> Path:
    """A folder of a run with made-up numbers, for a report of it."""
    sys.path.insert(0, str(ROOT))
    from tests.support.runs import make_summary, write_run

    return write_run(folder, make_summary())


def try_wheel(wheel: Path, python: str, folder: Path, constraints: Path) -> None:
    """Installs the wheel into an empty environment and runs what needs no model."""
    run(python, "-m", "venv", folder)
    env = {"PIP_CONSTRAINT": str(constraints), "PYTHONPATH": ""}
    run(folder / "bin" / "pip", "install", "-qq", wheel, env=env)
    gradual, inside = folder / "bin" / "gradual", folder / "bin" / "python"
    version = run(gradual, "--version", env=env).split()[1]
    if version not in wheel.name:
        sys.exit(f"{gradual} --version: expected the version of {wheel.name}, found {version}")
    run(gradual, "plan", "--strategies", env=env)
    count = run(inside, "-c", "import gradual; print(len(gradual.load_facts('atlas')))", env=env).strip()
    page = Path(run(gradual, "report", make_run(folder / "run"), env=env).strip())
    if "Flow between levels" not in page.read_text(encoding="utf-8"):
        sys.exit(f"{page}: expected the report of a run, found another page")
    told = run(gradual, "probe", "--model", "m", "--facts", "atlas", "--out", folder / "map", expected=2, env=env)
    if "pip install 'gradual-learning[train]'" not in told:
        sys.exit(f"gradual probe without the extra: expected how to install it, found {told}")
    heavy = HEAVY & set(
        re.findall(r"^([\w-]+)==", run(folder / "bin" / "pip", "freeze", env=env).lower(), re.MULTILINE)
    )
    if heavy:
        sys.exit(f"expected no library for models without the extra `train`, found {', '.join(sorted(heavy))}")
    said = run(inside, "--version", env=env).strip()
    print(f"{wheel.name}, {said}, {constraints.name}: version, strategies, {count} facts, report, no model library")


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for builds and environments, made anew")
    parser.add_argument("--python", action="append", help="interpreter of an empty environment; may be given again")
    parser.add_argument("--lowest", action="store_true", help="try the lower bounds of the requirements as well")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    wheel = build(out)
    lowest = out / "lowest.txt"
    lowest.write_text("\n".join(lower_bounds(PROJECT["dependencies"])) + "\n", encoding="utf-8")
    for number, python in enumerate(arguments.python or [sys.executable]):
        for constraints in (ROOT / "constraints.txt", *([lowest] if arguments.lowest else [])):
            try_wheel(wheel, python, out / f"{number}-{constraints.stem}", constraints)


if __name__ == "__main__":
    main()
