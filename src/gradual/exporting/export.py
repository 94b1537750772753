"""Writes what a run leaves into a folder that others can use: adapter or merged weights with a card, or its data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from gradual.config.run import RunConfig
from gradual.config.yaml_file import load_config
from gradual.errors import ConfigError, RunDirError
from gradual.exporting.card import card_text
from gradual.exporting.chosen import ChosenAdapter, choose_adapter
from gradual.exporting.gguf import convert_to_gguf, find_converter
from gradual.exporting.hub import check_push, is_hub_id, push
from gradual.exporting.merge import MergeCheck, merge_adapter
from gradual.exporting.stage_rows import stage_data
from gradual.exporting.toolkits import TOOLKITS, write_toolkit
from gradual.files import storage
from gradual.files.storage import Json
from gradual.progress import Progress, warn
from gradual.run.best_stage import finished_stages

EXPORT_FILE = "export.json"
"""What an export is of; tells a folder that may be replaced."""
_DTYPES = ("bfloat16", "float32", "float16")
_ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class ExportRequest:
    """What to carry away."""

    source: Path
    """Folder of a run or a comparison."""
    out: Path
    stage: int | None = None
    """None: the one that validation facts choose."""
    arm: str | None = None
    """Of a comparison; None: the one that validation facts choose."""
    merge: bool = False
    """The base model's weights with the adapter in them, in place of the adapter."""
    gguf: bool = False
    """A GGUF file as well, by llama.cpp's converter; merges."""
    dtype: str | None = None
    """Number format to merge and save in; None: the run's."""
    base_model: str | None = None
    """Name of the base model for the card and the adapter; None: as the run's settings name it."""
    push: str | None = None
    """Repository on the Hub, owner/name."""
    public: bool = False
    toolkit: str | None = None
    """Data and settings of every stage for this toolkit, in place of a model."""
    trust_remote_code: bool = False

    @property
    def merges(self) -> bool:
        """Whether merged weights are asked for."""
        return self.merge or self.gguf


@dataclass(frozen=True)
class Export:
    """What was carried away."""

    folder: Path
    chosen: ChosenAdapter
    """In an export for a toolkit, the last stage that is in it."""
    url: str | None = None
    """Page on the Hub, where it was published."""

    @property
    def file_names(self) -> list[str]:
        """The files in the folder."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def as_dict(self) -> dict[str, Json]:
        """The same as JSON values."""
        return {
            "folder": str(self.folder),
            "files": list(self.file_names),
            "run": str(self.chosen.run.path),
            "stage": self.chosen.stage,
            "arm": self.chosen.arm,
            "seed": self.chosen.seed,
            "why": self.chosen.why,
            "url": self.url,
        }


def export(request: ExportRequest, *, online: bool, progress: Progress) -> Export:
    """Writes the chosen adapter, or merged weights, with a model card into a folder; publishes it if asked to.

    A folder that an export has written is replaced, as a whole, when all has ended well.

    Raises:
        ConfigError, DataError: an option cannot be; before any work.
        ExportError: merged weights answer otherwise, or the converter or the Hub refused.
        RunDirError: the folder is no run, damaged, or `out` holds something else.
    """
    _check_options(request)
    refuse_other_folder(request.out)
    converter = find_converter() if request.gguf else None
    choice = choose_adapter(request.source, stage=request.stage, arm=request.arm)
    config = load_config(choice.run.config, allow_remote_code=request.trust_remote_code)
    base_model = request.base_model or config.model.name_or_path
    if request.toolkit is not None:
        return _export_data(request, choice, config, base_model, request.toolkit)
    if request.push is not None:
        check_push(request.push, base_model, online=online)
    progress.say(choice.why)
    if choice.gains_nothing:
        warn(progress, "the base model does at least as well on the validation facts")
    with storage.staged_folder(request.out) as draft:
        merge: MergeCheck | None = None
        if request.merges:
            merge = merge_adapter(choice.run, choice.stage, config, draft, dtype=request.dtype, progress=progress)
        else:
            _copy_adapter(choice, draft, base_model, config)
        if converter is not None:
            convert_to_gguf(converter, draft)
        storage.write_text(draft / "README.md", card_text(choice, base_model=base_model, merge=merge))
        storage.write_json(draft / EXPORT_FILE, _about(choice, base_model, merge))
    url = None if request.push is None else push(request.out, request.push, is_public=request.public)
    return Export(request.out, choice, url)


def _check_options(request: ExportRequest) -> None:
    """Refuses options that name nothing there is, or that have no use beside each other."""
    if request.dtype not in (None, *_DTYPES):
        raise ConfigError(f"--dtype {request.dtype}: expected one of {', '.join(_DTYPES)}")
    if request.toolkit not in (None, *TOOLKITS):
        raise ConfigError(f"--for {request.toolkit}: expected one of {', '.join(TOOLKITS)}")
    if request.toolkit is not None and (request.merges or request.push is not None):
        raise ConfigError(
            f"--for {request.toolkit}: writes data and settings, no model; leave out --merge, --gguf and --push"
        )
    if request.dtype is not None and not request.merges:
        raise ConfigError(f"--dtype {request.dtype}: an adapter keeps its own number format; add --merge")
    if request.public and request.push is None:
        raise ConfigError("--public: expected --push OWNER/NAME with it, found none; nothing else is published")


def _export_data(
    request: ExportRequest, choice: ChosenAdapter, config: RunConfig, base_model: str, toolkit: str
) -> Export:
    """Writes the stages up to the one that was asked for, else all that are finished."""
    finished = finished_stages(choice.run)
    last = finished[-1] if request.stage is None else choice.stage
    stages = [stage_data(choice.run, config, number) for number in finished[:last]]
    with storage.staged_folder(request.out) as draft:
        write_toolkit(toolkit, stages, config, base_model, draft)
        storage.write_json(
            draft / EXPORT_FILE, {"toolkit": toolkit, "facts": choice.run.fingerprint.get("facts.digest")}
        )
    return Export(request.out, replace(choice, stage=last))


def refuse_other_folder(out: Path) -> None:
    """Refuses a folder that holds something else than an export.

    Raises:
        RunDirError: it does, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise RunDirError(f"{out}: expected a folder, found a file; use another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / EXPORT_FILE).is_file():
        raise RunDirError(f"{out}: expected a new folder or that of an export, found other files; use another --out")


def _about(choice: ChosenAdapter, base_model: str, merge: MergeCheck | None) -> dict[str, Json]:
    fingerprint = choice.run.fingerprint
    return {
        "base_model": base_model,
        "base_weights": fingerprint.get("model.weights"),
        "facts": fingerprint.get("facts.digest"),
        "stage": choice.stage,
        "arm": choice.arm,
        "seed": choice.seed,
        "why": choice.why,
        "merged": None if merge is None else {"dtype": merge.dtype, "same_answers": merge.num_facts},
    }


def _copy_adapter(choice: ChosenAdapter, draft: Path, base_model: str, config: RunConfig) -> None:
    """The adapter's files; its base model by the name that others know, never by a path in a cache."""
    from gradual.models.checks import check_adapter_folder

    adapter = choice.run.adapter(choice.stage)
    check_adapter_folder(adapter)
    settings = storage.read_json(adapter / _ADAPTER_CONFIG)
    settings["base_model_name_or_path"] = base_model
    if is_hub_id(base_model):
        settings["revision"] = config.model.revision if base_model == config.model.name_or_path else None
    storage.write_json(draft / _ADAPTER_CONFIG, settings)
    shutil.copyfile(adapter / _ADAPTER_WEIGHTS, draft / _ADAPTER_WEIGHTS)
