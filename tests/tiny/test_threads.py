"""torch's threads wait as the product asks: what the library for threads itself says it has read."""

from __future__ import annotations

import os
import subprocess
import sys


def test_the_library_for_threads_has_read_that_they_sleep() -> None:
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", "import gradual.engines.transformers_engine"],
        capture_output=True,
        text=True,
        check=True,
        env={**env, "OMP_DISPLAY_ENV": "TRUE"},
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
