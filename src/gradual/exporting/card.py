"""The model card: what was trained and how, what it knows before and after, where it is wrong and sure, its limits."""

from __future__ import annotations

import re
from pathlib import Path

from gradual.config.base import setting_of_stage
from gradual.exporting.chosen import ChosenAdapter
from gradual.exporting.hub import is_hub_id
from gradual.exporting.merge import MergeCheck
from gradual.reporting.level_tables import levels_table
from gradual.reporting.run_tables import accuracy_table
from gradual.reporting.table import Table, as_markdown
from gradual.run.record import RunRecord, read_run
from gradual.text import percent, share_estimate, stage_name, visible

_MARKUP = re.compile(r"([\\`*_\[\]<>&])")
_SETTINGS = ("model.", "facts.", "probe.", "lora.", "stages.", "evaluation.", "seed", "training_seed", "exemplar_seed")
_OF_THIS_MACHINE = ("model.name_or_path", "model.device", "facts.path", "facts.exemplars")


def card_text(chosen: ChosenAdapter, *, base_model: str, merge: MergeCheck | None) -> str:
    """The card in Markdown with the Hub's front matter (model-cards specification of huggingface_hub).

    Raises:
        RunDirError: a file of the run is damaged.
    """
    import yaml
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    run = read_run(chosen.run.path)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    environment.filters["percent"] = percent
    return environment.get_template("model_card.md.j2").render(
        front_matter=yaml.safe_dump(_front_matter(base_model, merge), sort_keys=False).strip(),
        base_model=base_model if is_hub_id(base_model) else Path(base_model).name,
        weights=run.summary.fingerprint.get("model.weights"),
        digest=run.summary.fingerprint.get("facts.digest"),
        version=run.version,
        chosen=chosen,
        merge=merge,
        num_facts=run.summary.num_facts,
        tables=[as_markdown(table).strip() for table in _tables(run, chosen.stage)],
        surely_wrong=_surely_wrong(run, chosen.stage),
        settings=_settings(run, chosen.stage),
        epochs_by_test=run.summary.settings.get("evaluation.protocol") == "paper",
    )


def _front_matter(base_model: str, merge: MergeCheck | None) -> dict[str, object]:
    about: dict[str, object] = {"library_name": "peft" if merge is None else "transformers"}
    if is_hub_id(base_model):
        about |= {"base_model": base_model, "base_model_relation": "adapter" if merge is None else "finetune"}
    return about | {"pipeline_tag": "text-generation", "tags": ["gradual", "factual-knowledge", "lora"]}


def _tables(run: RunRecord, stage: int) -> list[Table]:
    levels = run.summary.levels
    probes = [probe for probe in (0, stage) if probe < len(levels)]
    names = [stage_name(probe) for probe in probes]
    tables = [levels_table([levels[probe] for probe in probes], names, title="Levels of the training facts")]
    scored = [each for each in run.summary.test_accuracy if each.stage in (0, stage)]
    tables.append(accuracy_table(run.summary.model_copy(update={"test_accuracy": scored})))
    return [table for table in tables if table.rows]


def _surely_wrong(run: RunRecord, stage: int) -> list[dict[str, str]]:
    """How many test answers are wrong with a confidence of at least 0.5 and 0.9, before and after."""
    quality = run.summary.answer_quality
    rows = [each for each in (quality.stages if quality else ()) if each.stage in (0, stage)]
    return [
        {
            "model": stage_name(each.stage),
            "sure": str(share_estimate(share.share, share.low, share.high)),
            "very_sure": str(share_estimate(very.share, very.low, very.high)),
        }
        for each in rows
        for share, very in [(each.all_facts.confidently_wrong, each.all_facts.very_confidently_wrong)]
    ]


def _settings(run: RunRecord, stage: int) -> list[str]:
    """The settings that made the adapter, one a line, as a block of code that no text in it can end.

    Without names of folders and files here, which nobody else has, and without later stages.
    """
    settings = {
        name: value
        for name, value in run.summary.settings.items()
        if name.startswith(_SETTINGS) and name not in _OF_THIS_MACHINE
        if (of_stage := setting_of_stage(name)) is None or of_stage[0] < stage
    }
    return [f"    {visible(f'{name}: {settings[name]}')}" for name in sorted(settings) if settings[name] is not None]


def _plain(text: object) -> str:
    """A text of others as Markdown that shows it as it stands."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(str(text).split())))
