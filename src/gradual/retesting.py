"""Probes some training facts once more under the untrained model: what changes with nothing learned.

One thing is changed in each retest (`noise_record.RETESTS`). What is held against what is the business of
`comparison_noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradual.config import RunConfig
from gradual.facts import Fact
from gradual.knowledge_map import write_map
from gradual.models import LoadedModel, load_model
from gradual.preparing import Prepared, spread
from gradual.probing import probe_facts, probe_units, scale_of_units
from gradual.progress import Progress
from gradual.transformers_engine import TransformersEngine
from gradual.units import UnitStore

_OTHER_EXEMPLARS = 1_000_003
"""Added to the seed of the exemplars for the retest `exemplars`."""
_OTHER_SAMPLES = 2_000_003
"""Added to the seed of sampled answers, which the exact probe does not draw, for the retest `again`."""


def retested(kind: str, config: RunConfig, prepared: Prepared, loaded: LoadedModel) -> list[Fact]:
    """The training facts that a retest asks: at least `compare.num_retested`, or all where there are fewer.

    Other facts beside a fact round its numbers otherwise; asked in the same company, they are the same bytes. So
    `again` asks the first units of a probe whole; the other kinds ask facts of all relations evenly.
    """
    count = config.compare.num_retested
    if kind != "again":
        return spread(prepared.train, count)
    scale = scale_of_units(TransformersEngine(loaded), config.probe)
    chosen: list[Fact] = []
    for _, blocks in probe_units(prepared.train, config.probe.num_exemplar_sets, scale):
        if len(chosen) < count:
            chosen += (fact for block in blocks for fact in block)
    return chosen


def probe_again(
    kind: str,
    facts: Sequence[Fact],
    config: RunConfig,
    prepared: Prepared,
    loaded: LoadedModel,
    *,
    out: Path,
    units: Path,
    progress: Progress,
) -> None:
    """Writes the knowledge map of a retest.

    Args:
        kind: one of `noise_record.RETESTS`.
        facts: what it asks (`retested`).
        config: settings of the probe that is repeated.
        prepared: the exemplars.
        loaded: the untrained model.
        out: folder of the map.
        units: folder that keeps finished units until the map is written; a probe that was stopped goes on from there.
        progress: shows a bar.

    Raises:
        DataError, ModelError, ProbeError, RunDirError: as for any probe.
    """
    seed = config.seed_of_exemplars + (_OTHER_EXEMPLARS if kind == "exemplars" else 0)
    # Answers drawn with the same seed differ only where the model's chances do.
    sampling_seed = config.seed_of_exemplars + (_OTHER_SAMPLES if kind == "again" else 0)
    if kind == "numerics":
        dtype = "bfloat16" if loaded.fingerprint["dtype"] == "float32" else "float32"
        loaded = load_model(config.model.model_copy(update={"dtype": dtype}))
    settings = {name: str(value) for name, value in config.probe.model_dump(mode="json").items()}
    count = str(config.compare.num_retested)
    about = {"seed": str(seed), "sampling_seed": str(sampling_seed), "facts": prepared.digest(), "count": count}
    store = UnitStore(units, loaded.fingerprint | settings | about)
    with progress.bar(f"retest {kind}", len(facts), "facts") as advance:
        known = probe_facts(
            facts,
            prepared.exemplars,
            TransformersEngine(loaded),
            config.probe,
            seed=seed,
            sampling_seed=sampling_seed,
            units=store,
            progress=advance,
        )
    write_map(known, out)
    store.clear()
