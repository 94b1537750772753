"""Which facts a language model knows, teaching it those within reach, and what that gained and lost.

    facts = gradual.load_facts("atlas")                  # or a file: questions, accepted answers, relations
    before = gradual.probe("smollm2", facts, limit=100)  # a knowledge map: the level of each fact, and why
    config = gradual.load_config("config.yaml")          # every setting of a run, checked
    plan = gradual.plan(config)                          # what it would train on; trains nothing
    run = gradual.fit(config, "run")                     # probe, train, probe again, ..., evaluate; goes on if stopped
    gradual.report(run.path)                             # the page that tells what was gained and lost
    gradual.tune(config, "tuned")                        # the recipe that suits these facts, chosen on validation
    gradual.compare(config, "comparison")                # several ways to train, several seeds: did it help?
    after = gradual.read_map(run.probe(1))               # the map after the first stage
    gradual.diff(run.probe(0), after).promoted           # the facts whose level rose between two maps
    gradual.show(run.path, facts[0].id)                  # one fact: level, chances, prompts, answers
    gradual.ask(run.path, ["Who wrote Emma?"])           # any question: answer and confidence, before and after
    gradual.demo("gradual-demo")                         # all of it, on the embedded model and facts

Names are loaded when they are first used, so that importing the package stays quick and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradual.afterwards import ask, diff, export, report, show
    from gradual.api import compare, demo, fit, init, plan, probe, tune
    from gradual.config.run import RunConfig
    from gradual.config.yaml_file import load_config
    from gradual.errors import GradualError
    from gradual.facts.fact import Fact
    from gradual.facts.loading import load_facts
    from gradual.knowledge.levels import Level
    from gradual.knowledge.map import KnowledgeMap, read_map

__version__ = "0.1.0"

__all__ = [
    "Fact",
    "GradualError",
    "KnowledgeMap",
    "Level",
    "RunConfig",
    "__version__",
    "ask",
    "compare",
    "demo",
    "diff",
    "export",
    "fit",
    "init",
    "load_config",
    "load_facts",
    "plan",
    "probe",
    "read_map",
    "report",
    "show",
    "tune",
]

_HOMES = {
    "Fact": "facts.fact",
    "GradualError": "errors",
    "KnowledgeMap": "knowledge.map",
    "Level": "knowledge.levels",
    "RunConfig": "config.run",
    "ask": "afterwards",
    "compare": "api",
    "demo": "api",
    "diff": "afterwards",
    "export": "afterwards",
    "fit": "api",
    "init": "api",
    "load_config": "config.yaml_file",
    "load_facts": "facts.loading",
    "plan": "api",
    "probe": "api",
    "read_map": "knowledge.map",
    "report": "afterwards",
    "show": "afterwards",
    "tune": "api",
}


def __getattr__(name: str) -> object:
    """The public name, fetched from its module the first time (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
