"""Probes some training facts once more under the untrained model: what changes with nothing learned.

One thing is changed in each retest (`folder.RETESTS`). `findings.noise` holds them against the base map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gradual.config.base import settings_that_matter
from gradual.config.run import RunConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import Fact, spread
from gradual.facts.prepare import RunFacts
from gradual.files.units import UnitStore
from gradual.knowledge.map import MAP_FILE, read_map, write_map
from gradual.models.load import LoadedModel, load_model
from gradual.probing.probe import probe_facts, probe_units, scale_of_units
from gradual.progress import Progress

_OTHER_EXEMPLARS = 1_000_003
"""Added to the seed of the exemplars for the retest `exemplars`."""
_OTHER_SAMPLES = 2_000_003
"""Added to the seed of sampled answers, which the exact probe does not draw, for the retest `again`."""


@dataclass(frozen=True)
class Retester:
    """The probe of the untrained model that is repeated."""

    config: RunConfig
    """`probe` is repeated with `seed_of_exemplars`, on at least `compare.num_retested` facts."""
    run_facts: RunFacts
    loaded: LoadedModel
    """The untrained model."""

    def facts(self, kind: str) -> list[Fact]:
        """The training facts that a retest asks, or all where there are fewer than wanted.

        Other facts beside a fact round its numbers otherwise; asked in the same company, they are the same bytes. So
        `again` asks the first units of a probe whole; the other kinds ask facts of all relations evenly.
        """
        probe, count = self.config.probe, self.config.compare.num_retested
        if kind != "again":
            return spread(self.run_facts.train, count)
        scale = scale_of_units(TransformersEngine(self.loaded), probe)
        facts: list[Fact] = []
        for _, blocks in probe_units(self.run_facts.train, probe.num_exemplar_sets, scale):
            if len(facts) < count:
                facts += (fact for block in blocks for fact in block)
        return facts

    def difference_from_settings(self, kind: str, out: Path) -> str:
        """How the retest in the folder `out` differs from what is asked now, in a line; empty where it does not."""
        knowledge = read_map(out, with_answers=False)
        now = (len(self.facts(kind)), self._seed(kind))
        was = (len(knowledge), knowledge.info.probe.get("seed"))
        if was == now:
            return ""
        return (
            f"{out} holds {was[0]} facts asked with seed {was[1]}, where the settings ask {now[0]} with seed {now[1]}; "
            "it is kept - delete it to ask anew"
        )

    def probe(self, kind: str, *, out: Path, units: Path, progress: Progress) -> None:
        """Writes the knowledge map of a retest into the folder `out`, if it is not there.

        Args:
            kind: one of `folder.RETESTS`.
            out: folder of the map.
            units: folder that keeps finished units until then; a probe that was stopped goes on from there.
            progress: shows a bar.

        Raises:
            DataError, ModelError, ProbeError, RunDirError: as for any probe.
        """
        if (out / MAP_FILE).is_file():
            return
        config, loaded, facts, seed = self.config, self.loaded, self.facts(kind), self._seed(kind)
        # Answers drawn with the same seed differ only where the model's chances do.
        sampling_seed = config.seed_of_exemplars + (_OTHER_SAMPLES if kind == "again" else 0)
        if kind == "numerics":
            dtype = "bfloat16" if loaded.fingerprint["dtype"] == "float32" else "float32"
            loaded = load_model(config.model.model_copy(update={"dtype": dtype}))
        about = {name: str(value) for name, value in settings_that_matter(config.probe).items()}
        about |= {"seed": str(seed), "sampling_seed": str(sampling_seed), "facts": self.run_facts.digest()}
        store = UnitStore(units, loaded.fingerprint | about | {"count": str(len(facts))})
        with progress.bar(f"retest {kind}", len(facts), "facts") as advance:
            known = probe_facts(
                facts,
                self.run_facts.exemplars,
                TransformersEngine(loaded),
                config.probe,
                seed=seed,
                sampling_seed=sampling_seed,
                units=store,
                progress=advance,
            )
        write_map(known, out)
        store.clear()

    def _seed(self, kind: str) -> int:
        return self.config.seed_of_exemplars + (_OTHER_EXEMPLARS if kind == "exemplars" else 0)
