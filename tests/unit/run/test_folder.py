"""One writer, one fingerprint, and steps that are finished once and stay as they were."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.lock import single_writer
from gradual.run.folder import RunDir, open_run

PRINT = {"model": "sha-1", "seed": "42"}

HOLD = """
import sys, time
from pathlib import Path
from gradual.run.folder import open_run
with open_run(Path(sys.argv[1]), {"model": "sha-1", "seed": "42"}, config_yaml="a: 1"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_in_another_process(path: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(storage.__file__).parents[2])}
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def finish(path: Path, step: str, content: str = "result") -> Path:
    with open_run(path, PRINT, config_yaml="") as run:
        made = run.probe(0)
        storage.make_folder(made)
        storage.write_text(made / "map.json", content)
        run.mark_done(step, [made])
    return made


class TestOpenRun:
    def test_new_folder_tells_what_it_is(self, tmp_path: Path) -> None:
        with open_run(tmp_path / "runs" / "a", PRINT, config_yaml="seed: 42\n") as run:
            assert run.config.read_text() == "seed: 42\n"
            assert run.fingerprint == PRINT
            assert run.status == "running"
            run.set_status("complete")
        info = json.loads(run.info.read_text())
        assert sorted(info) == ["fingerprint", "gradual_version", "status"]
        assert RunDir(run.path).status == "complete"

    def test_same_fingerprint_goes_on(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT, config_yaml="report_to: []") as run:
            run.mark_done("probe-0")
        before = run.info.read_bytes()
        with open_run(tmp_path, dict(reversed(PRINT.items())), config_yaml="report_to: [wandb]") as run:
            assert run.is_done("probe-0")
            assert run.config.read_text() == "report_to: [wandb]"
        assert run.info.read_bytes() == before

    def test_other_fingerprint_is_refused_field_by_field(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT | {"gone": "x"}, config_yaml="old"):
            pass
        with (
            pytest.raises(RunDirError) as caught,
            open_run(tmp_path, {"model": "sha-2", "seed": "42", "new": "y"}, config_yaml="new"),
        ):
            pytest.fail("opened")
        assert str(caught.value).splitlines() == [
            f"{tmp_path} was made with other settings or files; going on would mix two runs:",
            "  gone: 'x' in the folder, not recorded now",
            "  model: 'sha-1' in the folder, 'sha-2' now",
            "  new: not recorded in the folder, 'y' now",
            "use another --out for a new run, or the original settings to go on with this one",
        ]
        assert RunDir(tmp_path).config.read_text() == "old"

    def test_folder_with_other_things_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(RunDirError, match=r"holds 'thesis.tex'"), open_run(tmp_path, PRINT, config_yaml=""):
            pytest.fail("opened")
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_killed_start_is_taken_over(self, tmp_path: Path) -> None:
        for name in ("run.lock", "owner.json", "config.yaml", ".run.json.tmp"):
            (tmp_path / name).write_text("{")
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            assert run.status == "running"

    def test_path_of_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with (
            pytest.raises(RunDirError, match="a file stands where a folder is needed"),
            open_run(tmp_path / "file", PRINT, config_yaml=""),
        ):
            pytest.fail("opened")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_folder_without_permission_is_refused(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        folder.mkdir(mode=0o555)
        with pytest.raises(RunDirError, match="permission is missing"), open_run(folder, PRINT, config_yaml=""):
            pytest.fail("opened")

    def test_full_disk_at_the_start_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_args: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(RunDirError, match="disk is full"), open_run(tmp_path, PRINT, config_yaml=""):
                pytest.fail("opened")
        with open_run(tmp_path, PRINT, config_yaml=""):
            pass

    def test_attempts_tell_process_and_end(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            run.log_attempt("probe")
        with pytest.raises(KeyError), open_run(tmp_path, PRINT, config_yaml="") as run:
            raise KeyError("boom")
        lines = storage.read_json_lines(run.attempts)
        assert [line["event"] for line in lines] == ["started", "probe", "ended", "started", "stopped"]
        assert lines[-1]["error"] == "KeyError"
        assert {line["pid"] for line in lines} == {os.getpid()}

    @pytest.mark.parametrize("content", ["", "{}", '{"fingerprint": 3, "status": "running"}'])
    def test_damaged_run_json_is_named(self, tmp_path: Path, content: str) -> None:
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            pass
        run.info.write_text(content)
        with pytest.raises(RunDirError, match=r"run.json"), open_run(tmp_path, PRINT, config_yaml=""):
            pytest.fail("opened")


class TestLock:
    def test_second_process_is_refused_and_a_killed_one_frees_the_folder(self, tmp_path: Path) -> None:
        process = hold_in_another_process(tmp_path)
        try:
            with pytest.raises(RunDirError) as caught, open_run(tmp_path, PRINT, config_yaml=""):
                pytest.fail("opened")
            expected = rf"^{tmp_path} is in use by process {process.pid} on {socket.gethostname()} since \d{{4}}-\S+; "
            assert caught.match(expected)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert (tmp_path / "owner.json").exists()
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            assert json.loads((run.path / "owner.json").read_text())["pid"] == os.getpid()
        assert not (tmp_path / "owner.json").exists()

    def test_same_process_is_refused_too(self, tmp_path: Path) -> None:
        with single_writer(tmp_path):
            with pytest.raises(RunDirError, match=f"in use by process {os.getpid()}"), single_writer(tmp_path):
                pytest.fail("locked twice")
            with pytest.raises(RunDirError, match="in use"), single_writer(tmp_path):
                pytest.fail("a refused one freed the lock")

    def test_dead_owner_is_not_named(self, tmp_path: Path) -> None:
        finished = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
        )
        dead: dict[str, storage.Json] = {"pid": int(finished.stdout), "host": socket.gethostname(), "time": "2020"}
        with single_writer(tmp_path):
            storage.write_json(tmp_path / "owner.json", dead)
            with pytest.raises(RunDirError, match="another process, which has not yet"), single_writer(tmp_path):
                pytest.fail("locked twice")

    def test_raising_body_frees_the_lock(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError), single_writer(tmp_path):
            raise KeyError
        with single_writer(tmp_path):
            pass


class TestSteps:
    def test_steps_are_kept_in_order(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            assert run.steps() == ()
            assert not run.is_done("stage-1")
            run.mark_done("stage-1")
            run.mark_done("probe-1")
            run.mark_done("stage-1")
        assert RunDir(tmp_path).steps() == ("stage-1", "probe-1")

    def test_changed_or_missing_file_of_a_finished_step_is_named(self, tmp_path: Path) -> None:
        made = finish(tmp_path, "probe-0") / "map.json"
        assert RunDir(tmp_path).is_done("probe-0")
        made.write_text("resulT")
        with pytest.raises(RunDirError, match=r"map.json, made by the finished step 'probe-0', was changed"):
            RunDir(tmp_path).is_done("probe-0")
        made.unlink()
        with pytest.raises(RunDirError, match=r"map.json, made by the finished step 'probe-0', is missing"):
            RunDir(tmp_path).is_done("probe-0")

    def test_step_finished_with_other_files_is_refused(self, tmp_path: Path) -> None:
        finish(tmp_path, "probe-0")
        with pytest.raises(RunDirError, match="'probe-0' is finished already with other files"):
            finish(tmp_path, "probe-0", "other")

    def test_file_outside_or_missing_is_refused(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.touch()
        with open_run(tmp_path / "run", PRINT, config_yaml="") as run:
            with pytest.raises(RunDirError, match="should lie inside the run folder"):
                run.mark_done("probe-0", [outside])
            with pytest.raises(RunDirError, match=r"cannot sync .*probes/0"):
                run.mark_done("probe-0", [run.probe(0)])
            assert run.steps() == ()

    def test_journal_torn_at_any_byte_loses_only_the_last_step(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            run.mark_done("probe-0")
            whole = len(run.journal.read_bytes())
            run.mark_done("stage-1")
            full = run.journal.read_bytes()
            for length in range(whole, len(full)):
                run.journal.write_bytes(full[:length])
                assert run.steps() == ("probe-0",)
                run.mark_done("stage-1")
                assert run.journal.read_bytes() == full

    def test_journal_changed_at_any_byte_is_noticed(self, tmp_path: Path) -> None:
        finish(tmp_path, "probe-0")
        finish(tmp_path, "stage-1")
        journal = RunDir(tmp_path).journal
        whole = journal.read_bytes()
        for index in range(len(whole) - 1):  # without the last newline the last step counts as not finished
            journal.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
            with pytest.raises(RunDirError, match=r"journal.jsonl:[12]"):
                RunDir(tmp_path).steps()

    def test_reader_may_not_write(self, tmp_path: Path) -> None:
        finish(tmp_path, "probe-0")
        run = RunDir(tmp_path)
        with pytest.raises(RunDirError, match="opened for reading"):
            run.mark_done("stage-1")
        with pytest.raises(RunDirError, match="opened for reading"):
            run.set_status("complete")

    def test_writer_may_not_write_after_it_closed(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            pass
        with pytest.raises(RunDirError, match="opened for reading"):
            run.mark_done("stage-1")

    @pytest.mark.parametrize("step", ["", "../x", "probe 0", "Probe-0", "probe-0\n"])
    def test_odd_step_name_is_refused(self, tmp_path: Path, step: str) -> None:
        with pytest.raises(RunDirError, match="expected a name such as"):
            RunDir(tmp_path).is_done(step)

    def test_units_are_bound_to_the_fingerprint(self, tmp_path: Path) -> None:
        with open_run(tmp_path, PRINT, config_yaml="") as run:
            run.units("probe-0").put("key", b"x")
        assert RunDir(tmp_path).units("probe-0").get("key") == b"x"
        assert RunDir(tmp_path).units("probe-1").get("key") is None


def test_layout() -> None:
    run = RunDir(Path("R"))
    paths = {
        "config.yaml": run.config,
        "run.json": run.info,
        "facts.parquet": run.facts,
        "summary.json": run.summary,
        "report.html": run.report,
        "journal.jsonl": run.journal,
        "attempts.log": run.attempts,
        "probes/0": run.probe(0),
        "evaluation/2": run.evaluation(2),
        "stages/1": run.stage(1),
        "stages/1/adapter": run.adapter(1),
        "stages/1/checkpoints": run.checkpoints(1),
        "stages/1/selection.parquet": run.selection(1),
        "stages/1/epochs.jsonl": run.epochs(1),
        "stages/1/stage.json": run.stage_summary(1),
    }
    assert {name: path.as_posix() for name, path in paths.items()} == {name: f"R/{name}" for name in paths}


def test_reading_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="is no run folder"):
        _ = RunDir(tmp_path).status
