"""A signal ends every stage of a run soon, keeps what is finished, and says how to go on.

The command runs on the stand-ins of `small_run`, in a process of its own for each signal, one stage after the other;
then the same command is given until it is done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.small_run import results

from gradual.files import storage

pytestmark = pytest.mark.tiny

COMMANDS = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pyarrow.parquet
from gradual import api
from gradual.cli import app, results
from gradual.cli.console import Console
from gradual.reporting import run_page
from tests.support import small_run

def command(place, number, folder):
    say = Console.say

    def heard(console, text):
        say(console, text)
        if text.startswith(place):
            signal.raise_signal(number)  # to this thread: another one may take its time on a busy machine

    Console.say = heard
    api.fit = lambda config, out, *, progress, **_: small_run.small_run(Path(out), progress=progress)
    sys.argv = ["gradual", "fit", "config.yaml", "--out", folder]
    app.main()

for number, (place, sent, folder) in enumerate(json.loads(sys.argv[2])):
    child = os.fork()  # libraries for models are loaded once
    if child == 0:
        os.dup2(os.open(f"{number}.err", os.O_CREAT | os.O_WRONLY), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
        try:
            command(place, sent, folder)
        except SystemExit as end:
            os._exit(end.code or 0)  # what it takes to end in order a process with so much loaded is no news
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
"""
STAGES = (
    "loading",
    "probe-0: 2 facts in",
    "evaluation-0",
    "levels",
    "stage-1:",
    "stage 1, epoch 1",
    "probe-1",
    "evaluation-1",
)
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def test_signals_in_every_stage_end_it_with_the_way_to_go_on_and_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: fake\nfacts: toys\n")
    sent = [(place, list(CODES)[index % 2], "broken") for index, place in enumerate(STAGES)]
    whole = [("never", signal.SIGTERM, folder) for folder in ("broken", "unbroken")]
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(Path(__file__).resolve().parents[2]), json.dumps([*sent, *whole])],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(storage.__file__).parents[2])},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert [int(code) for code in ended.stderr.split()] == [*(CODES[number] for _, number, _ in sent), 0, 0]
    for index in range(len(sent)):
        said = (tmp_path / f"{index}.err").read_text()
        assert "go on with: gradual fit config.yaml --out broken" in said
        assert "Traceback" not in said
    page = {"report.html": b""}  # it tells times
    assert results(tmp_path / "broken") | page == results(tmp_path / "unbroken") | page
    events = [line["event"] for line in storage.read_json_lines(tmp_path / "broken" / "attempts.log")]
    assert events == ["started", "stopped"] * (len(STAGES) - 1) + ["started", "ended"]
