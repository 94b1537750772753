"""What is done with maps and runs that are there: what `gradual show`, `diff`, `report`, `ask` and `export` call.

Prepares the process and calls what does the work, as `api` does for the commands that make them. Knows no terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradual.environment import (
    PROBE_PACKAGES,
    TRAIN_PACKAGES,
    prepare_environment,
    require_packages,
)
from gradual.opening import open_here
from gradual.preparation import (
    refuse_several_processes,
    say_warnings,
)
from gradual.progress import Progress, Silent

if TYPE_CHECKING:
    from gradual.asking.asker import AskedQuestion, Asker
    from gradual.asking.opening import AskRequest
    from gradual.config.model import ModelConfig
    from gradual.config.run import ProbeConfig
    from gradual.engines.engine import Engine
    from gradual.exporting.export import Export
    from gradual.knowledge.diff import MapDiff
    from gradual.knowledge.map import KnowledgeMap
    from gradual.run.fact_view import ShownFact


def ask(
    source: str | Path | ModelConfig,
    questions: Sequence[str],
    *,
    stage: int | None = None,
    relation: str | None = None,
    facts: str | Path | None = None,
    settings: ProbeConfig | None = None,
    seed: int | None = None,
    online: bool = False,
    progress: Progress | None = None,
) -> list[AskedQuestion]:
    """What a model answers to any questions and how sure it is; of a run, before and after training side by side.

    Args:
        source: folder of a run, or a model as for `probe`.
        questions: what to ask; they need not be among the facts.
        stage: of a run, the stage after which it is asked; by default the one that validation facts choose.
        relation: whose exemplars stand before each question; by default that of the questions worded most like it.
        facts: of a model, a source of facts to draw the shots from; without one it is asked without shots.
        settings: of a model, how questions are put; a run has its own.
        seed: of a model, the seed of the exemplar sets (42).
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used; before a model is loaded.
        RunDirError: a file of the run is damaged, or its model is another now.
        ProbeError: the model's logits are not numbers.
    """
    from gradual.asking.opening import AskRequest

    request = AskRequest(source, stage, relation, facts, settings, seed)
    return open_asker(request, online=online, progress=progress).ask(questions)


def open_asker(request: AskRequest, *, online: bool = False, progress: Progress | None = None) -> Asker:
    """What answers questions one after the other, with a model that is loaded once; errors as for `ask`."""
    refuse_several_processes("ask")
    prepare_environment(online=online)
    from gradual.asking import opening

    progress = progress or Silent()
    require_packages(PROBE_PACKAGES if request.run is None else TRAIN_PACKAGES)
    with say_warnings(progress):
        ready = opening.check_request(request)

    def open_engine(model: ModelConfig) -> Engine:
        return open_here(model, progress)

    return opening.open_asker(ready, request.relation, open_engine=open_engine, progress=progress)


def show(folder: str | Path, fact_id: str, *, probe: int | None = None) -> ShownFact:
    """Everything that a map or a run knows about one fact; see `run.fact_view.show_fact`.

    Raises:
        DataError: the folder has no such fact, or the run no such probe.
        RunDirError: the folder is neither a map nor a run, or damaged.
    """
    refuse_several_processes("show")
    from gradual.run.fact_view import show_fact

    return show_fact(Path(folder), fact_id, probe=probe)


def diff(map_a: str | Path | KnowledgeMap, map_b: str | Path | KnowledgeMap) -> MapDiff:
    """What became of the facts between two maps; see `knowledge.diff.compare_maps`.

    Raises:
        DataError: the maps have no fact in common.
        RunDirError: a folder is no map, or damaged.
    """
    refuse_several_processes("diff")
    from gradual.knowledge.diff import compare_maps, open_map
    from gradual.knowledge.map import KnowledgeMap

    one, other = (each if isinstance(each, KnowledgeMap) else open_map(Path(each)) for each in (map_a, map_b))
    return compare_maps(one, other)


def report(folder: str | Path) -> Path:
    """Path of the page `report.html` of a run or a comparison, written anew from the folder alone, finished or not.

    Of a comparison, `comparison.json` and `tables/` are written anew as well.

    Raises:
        RunDirError: the folder is neither a run nor a comparison, a file in it is damaged, or the disk refused.
    """
    refuse_several_processes("report")
    from gradual.comparison.folder import PLAN_FILE

    if (Path(folder) / PLAN_FILE).is_file():
        from gradual.reporting.comparison.write import write_results

        write_results(Path(folder))
        return Path(folder) / "report.html"
    from gradual.reporting.run_page import report as write_page

    return write_page(folder)


def export(
    source: str | Path,
    out: str | Path,
    *,
    stage: int | None = None,
    arm: str | None = None,
    merge: bool = False,
    gguf: bool = False,
    dtype: str | None = None,
    base_model: str | None = None,
    push: str | None = None,
    public: bool = False,
    toolkit: str | None = None,
    trust_remote_code: bool = False,
    online: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Carries a run's model away: its adapter or merged weights with a model card, or its data for another toolkit.

    Args:
        source: folder of a run or a comparison.
        out: folder to write; one that an export has written is replaced.
        stage: whose adapter; by default that of the stage that validation facts choose, as for `arm`.
        arm: of a comparison, the arm.
        merge: the base model's weights with the adapter in them, which are checked to give the same greedy answers.
        gguf: a GGUF file as well, by llama.cpp's converter.
        dtype: number format to merge and save in (bfloat16, float32, float16); by default the run's.
        base_model: name of the base model for others; by default as the run's settings name it.
        push: repository on the Hub (owner/name) to publish in, private unless `public`.
        public: publish for everybody.
        toolkit: write data and settings of every stage for it: llama-factory, axolotl, trl or jsonl.
        trust_remote_code: let the code run that comes with the model.
        online: see `probe`; nothing is published without it.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError: an option cannot be, or there is no such stage or arm; before any work.
        ExportError: merged weights answer otherwise than base and adapter, or the converter or the Hub refused.
        RunDirError: the source is no run, a file of it is damaged, or `out` holds something else.
    """
    refuse_several_processes("export")
    prepare_environment(online=online)
    from gradual.exporting import export as exports

    given = (stage, arm, merge, gguf, dtype, base_model, push, public, toolkit, trust_remote_code)
    request = exports.ExportRequest(Path(source), Path(out), *given)
    if request.merges:
        require_packages(TRAIN_PACKAGES)
    return exports.export(request, online=online, progress=progress or Silent())
