"""The commands around a run, before and after it: each reads its options, calls its function and shows the result.

`app` puts them among the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradual import afterwards, api
from gradual.cli.console import Console
from gradual.cli.options import Json, Online, Seed, Set, Trust, probe_config_of, seed_setting
from gradual.errors import ConfigError, DataError

if TYPE_CHECKING:
    from gradual.asking.asker import AskedQuestion
    from gradual.asking.opening import AskRequest
    from gradual.reporting.table import Table

_PROMPT = "question> "
_TOOLKITS = "Data and settings in place of a model: llama-factory, axolotl, trl or jsonl."


def ask(
    source: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="Folder of a run, or a model as in probe.")],
    questions: Annotated[list[str] | None, typer.Argument(metavar="[QUESTION]...", help="What to ask.")] = None,
    file: Annotated[Path | None, typer.Option(help="Text file with a question on each line.")] = None,
    relation: Annotated[str | None, typer.Option(help="Whose shots stand before; else told from the wording.")] = None,
    stage: Annotated[int | None, typer.Option(min=1, help="Of a run: after this stage; else by validation.")] = None,
    facts: Annotated[str | None, typer.Option(help="Of a model: facts to draw the shots from.")] = None,
    settings: Set = None,
    seed: Seed = None,
    trust_remote_code: Trust = False,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Ask any question, of a run before and after training.

    Tells the answer, behind how many exemplar sets it is the same, and how sure the model is of it. Without a question
    and without --file, questions are read from the terminal, line by line.

    \b
    Examples:
      gradual ask gradual-demo "What is the capital of Chad?"
      gradual ask gradual-demo --file questions.txt --json
      gradual ask smollm2 --facts atlas "What is the capital of Chad?"
    """  # noqa: D301
    console = Console(as_json=as_json)
    texts = [] if questions is None and file is None else [*(questions or []), *_lines_of(file)]
    is_talk = not texts and file is None and not as_json and sys.stdin.isatty()
    if not texts and not is_talk:
        texts = [line for line in sys.stdin.read().splitlines() if line.strip()]
    if not texts and not is_talk:
        raise DataError("expected a question, found none; write one behind the model, or name a file (--file)")
    request = _ask_request(source, stage, relation, facts, [*(settings or []), *seed_setting(seed)], trust_remote_code)
    with console.working():
        asker = afterwards.open_asker(request, online=online, progress=console)
        answers = asker.ask(texts)
    console.end({"questions": [each.as_dict() for each in answers]}, _answer_parts(answers))
    for line in _typed_lines() if is_talk else ():
        console.show(*_answer_parts(asker.ask([line])))


def export(
    source: Annotated[Path, typer.Argument(metavar="RUN|COMPARISON", help="Folder of a run or a comparison.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; one of an export is replaced.")],
    stage: Annotated[int | None, typer.Option(min=1, help="The adapter of this stage; else by validation.")] = None,
    arm: Annotated[str | None, typer.Option(help="Of a comparison: of this arm; else by validation.")] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Whole weights, checked to answer the same.")] = False,
    gguf: Annotated[bool, typer.Option("--gguf", help="A GGUF file too, where llama.cpp's converter is.")] = False,
    dtype: Annotated[str | None, typer.Option(help="Number format to merge in: bfloat16, float32, float16.")] = None,
    base_model: Annotated[str | None, typer.Option(help="Name of the base model for others (owner/name).")] = None,
    push: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Publish on the Hub; private.")] = None,
    toolkit: Annotated[str | None, typer.Option("--for", help=_TOOLKITS)] = None,
    public: Annotated[bool, typer.Option("--public", help="Publish for everybody.")] = False,
    trust_remote_code: Trust = False,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Carry the trained model away, with a model card.

    Takes the adapter that the validation facts choose, unless a stage or an arm is named.

    \b
    Examples:
      gradual export gradual-demo --out my-adapter
      gradual export my-comparison --out my-model --merge --dtype bfloat16
      gradual export my-run --out my-adapter --push me/my-adapter --online
      gradual export my-run --out for-axolotl --for axolotl
    """  # noqa: D301
    console = Console(as_json=as_json)
    with console.working():
        result = afterwards.export(
            source,
            out,
            stage=stage,
            arm=arm,
            merge=merge,
            gguf=gguf,
            dtype=dtype,
            base_model=base_model,
            push=push,
            public=public,
            toolkit=toolkit,
            trust_remote_code=trust_remote_code,
            online=online,
            progress=console,
        )
    parts = [f"written to {out}: {', '.join(str(name) for name in result.file_names)}"]
    console.end(result.as_dict(), [*parts, *([f"published: {result.url}"] if result.url else [])])


def init(
    facts: Annotated[str, typer.Argument(metavar="FACTS", help="File or folder of facts, hf:owner/name, or atlas.")],
    model: Annotated[str, typer.Option(help="Hugging Face id, folder, or embedded model (smollm2).")],
    out: Annotated[Path, typer.Option(metavar="CONFIG", help="YAML file to write.")] = Path("config.yaml"),
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Write a commented config for your own facts and model.

    Says which columns and relations were found, and why batch size and learning rates are what they are.

    \b
    Examples:
      gradual init facts.jsonl --model ./my-model --out config.yaml
      gradual init atlas --model smollm2
    """  # noqa: D301
    console = Console(as_json=as_json)
    with console.working():
        path = api.init(facts, model, out, online=online, progress=console)
    console.end({"config": str(path)}, [f"written to {path}; see what it would do: gradual plan {path}"])


def schema() -> None:
    """Print the JSON Schema of a config, for editors.

    \b
    Examples:
      gradual schema > gradual.schema.json
    """  # noqa: D301
    from gradual.config.schema import config_schema

    Console(as_json=True).end(config_schema(), [])


def _ask_request(
    source: str,
    stage: int | None,
    relation: str | None,
    facts: str | None,
    overrides: list[str],
    trust_remote_code: bool,
) -> AskRequest:
    from gradual.asking.opening import AskRequest

    request = AskRequest(source, stage, relation, facts, trust_remote_code=trust_remote_code)
    if request.run is not None:
        if overrides:
            raise ConfigError(f"--set {overrides[0]}: a run is asked with its own settings; leave it out")
        return request
    sections: dict[str, dict[str, object]] = {
        "model": {"name_or_path": source, "trust_remote_code": trust_remote_code or None},
        "facts": {"path": facts or "none"},
    }
    config = probe_config_of(sections, overrides)
    return AskRequest(config.model, stage, relation, facts, config.probe, config.seed)


def _lines_of(file: Path | None) -> list[str]:
    """The questions in a file, one a line; empty lines are left out.

    Raises:
        DataError: it cannot be read, is not UTF-8, or holds none.
    """
    if file is None:
        return []
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise DataError(
            f"{file}: expected a text file with questions, which cannot be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: expected UTF-8 text, found other bytes at {error.start} - save it as UTF-8") from None
    if not any(lines):
        raise DataError(f"{file}: expected a question on each line, found none - write some into it")
    return [line for line in lines if line]


def _typed_lines() -> Iterator[str]:
    """What a person types, until the end of input."""
    while True:
        try:
            line = input(_PROMPT)
        except EOFError:
            print()
            return
        if line.strip():
            yield line


def _answer_parts(answers: Sequence[AskedQuestion]) -> Iterator[Table | str]:
    from gradual.cli.results import asked_table

    yield from (asked_table(each) for each in answers)
    if answers:
        yield "confidence is how sure the model is of its answer, not how often it is right (docs/confidence.md)"
