"""A comparison whose model is loaded, in this process or in a worker: does pieces of work, of runs any part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradual.comparison.arm_work import Fit, Retest, Work
from gradual.comparison.folder import ComparisonFolder, share_steps
from gradual.comparison.retests import Retester
from gradual.config.run import RunConfig
from gradual.facts.prepare import RunFacts
from gradual.models.load import LoadedModel
from gradual.progress import Progress, warn
from gradual.run.folder import RunDir
from gradual.run.pipeline import fit_loaded
from gradual.run.steps import Step


@dataclass(frozen=True)
class OpenComparison:
    """What takes part in every piece of work."""

    config: RunConfig
    run_facts: RunFacts
    folder: ComparisonFolder
    loaded: LoadedModel
    progress: Progress

    def do(self, work: Work, *, last_stage: int | None = None) -> None:
        """Does a piece of work; what is finished of it is taken as it is.

        Args:
            last_stage: leave the steps of a run after this stage to another time.

        Raises:
            TrainingError: a stage cannot be trained.
            RunDirError: another process does it, or it was begun otherwise.
        """
        if isinstance(work, Retest):
            self._retest(work.kind)
        else:
            self._fit(work, last_stage)

    def _fit(self, fit: Fit, last_stage: int | None) -> None:
        config = self.config
        changes = {"stages": list(fit.stages), "training_seed": fit.seed}
        if config.compare.redraw_exemplars:
            evaluation = config.evaluation.model_copy(update={"exemplar_seed": fit.seed})
            changes |= {"exemplar_seed": fit.seed, "evaluation": evaluation}
        fit_loaded(
            config.model_copy(update=changes),
            self.run_facts,
            self.loaded,
            fit.run.path,
            progress=self.progress,
            before=self._take_over,
            last_stage=last_stage,
        )

    def _take_over(self, run: RunDir, steps: Sequence[Step]) -> None:
        """Takes over every step that another run has finished in the same way."""
        share_steps(run, steps, self.folder.runs())

    def _retest(self, kind: str) -> None:
        """Probes some training facts once more under the base model."""
        config = self.config
        if config.compare.redraw_exemplars:  # the base map that a retest is held against has those of the first seed
            config = config.model_copy(update={"exemplar_seed": config.seed_of_training})
        retester, out = Retester(config, self.run_facts, self.loaded), self.folder.retest(kind)
        retester.probe(kind, out=out, units=self.folder.units(kind), progress=self.progress)
        if told := retester.difference_from_settings(kind, out):
            warn(self.progress, told)
