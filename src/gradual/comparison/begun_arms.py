"""What a comparison's folder holds of an arm already, and whether that is still the same arm.

Goes by the settings that its runs were made with. Whether facts and model are the same is for the plan of the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradual.comparison.arms import Arm
from gradual.errors import RunDirError
from gradual.files.folder_guard import differing
from gradual.run.folder import RunDir
from gradual.run.pipeline import flat_settings
from gradual.text import listed

_HOLD_RUNS = ("runs", "rounds")
"""Folders that hold one for each arm (`comparison.ComparisonFolder`)."""


def begun(folder: Path, arm: str) -> list[Path]:
    """The folders that hold runs of the arm, with any seed."""
    return [path for kind in _HOLD_RUNS if (path := folder / kind / arm).is_dir()]


def refuse_changed_arms(folder: Path, arms: Sequence[Arm]) -> None:
    """Refuses arms that have changed since they were begun, and names that case alone tells from those there.

    Raises:
        RunDirError: every such arm, with what is other and what to do.
    """
    there = sorted({path.name for kind in _HOLD_RUNS for path in (folder / kind).glob("*") if path.is_dir()})
    problems: list[str] = []
    for arm in arms:
        alike = [name for name in there if name.casefold() == arm.name.casefold()]
        if alike and arm.name not in alike:
            problems.append(f'arm "{arm.name}" differs from "{alike[0]}", which is there, in case alone; rename it')
        elif changed := _changed(folder, arm):
            problems += [f'arm "{arm.name}" was begun with other settings:', *changed]
            dependent = [other.name for other in arms if other.same_steps_as == arm.name]
            held = [str(path) for name in (arm.name, *dependent) for path in begun(folder, name)]
            problems.append(f"give it another name, or its earlier settings; or, to begin anew, delete {listed(held)}")
    if problems:
        raise RunDirError("\n".join([f"{folder}: nothing was changed or trained:", *problems]))


def _changed(folder: Path, arm: Arm) -> list[str]:
    """What the first run of the arm that was made otherwise did otherwise; empty where all are as the arm is now."""
    now = [{name: json.dumps(value) for name, value in flat_settings(stage).items()} for stage in arm.stages]
    # How many steps are missing is found out, and so is how many rounds there are.
    left_out = {"max_steps"} if arm.same_steps_as is not None else set()
    for path in begun(folder, arm.name):
        is_whole = path.parent.name == "runs" and arm.max_stages is None
        for file in sorted(path.rglob("run.json")):
            was = _stages_of(RunDir(file.parent).fingerprint)
            if is_whole and len(was) != len(now):
                return [f"  stages: {len(was)} in the folder, {len(now)} now"]
            lines: list[str] = []
            for index, pair in enumerate(zip(was, now, strict=False)):
                old, new = (
                    {f"stages.{index}.{name}": stage[name] for name in stage.keys() - left_out} for stage in pair
                )
                lines += differing(old, new)
            if lines:
                return lines
    return []


def _stages_of(fingerprint: Mapping[str, str]) -> list[dict[str, str]]:
    stages: dict[int, dict[str, str]] = {}
    for name, value in fingerprint.items():
        if found := re.fullmatch(r"config\.stages\.(\d+)\.(.+)", name):
            stages.setdefault(int(found.group(1)), {})[found.group(2)] = value
    return [stages[index] for index in sorted(stages)]
