"""GGUF files, by the converter of llama.cpp where it is at hand; gradual has none of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from gradual.errors import ExportError

CONVERTER = "convert_hf_to_gguf.py"
GGUF_FILE = "model.gguf"


def find_converter() -> str:
    """Path of llama.cpp's converter.

    Raises:
        ExportError: there is none on the PATH.
    """
    path = shutil.which(CONVERTER)
    if path is None:
        raise ExportError(
            f"--gguf: expected {CONVERTER} of llama.cpp on the PATH, found none - install it, or use --merge and "
            "convert the folder elsewhere"
        )
    return path


def convert_to_gguf(converter: str, folder: Path) -> Path:
    """The folder's model as a GGUF file beside it, in the number format of the folder.

    Raises:
        ExportError: the converter failed, or wrote no GGUF file.
    """
    from gradual.models.checks import check_gguf

    target = folder / GGUF_FILE
    command = [converter, str(folder), "--outfile", str(target), "--outtype", "auto"]
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if process.returncode or not target.is_file():
        last = (process.stderr.strip() or process.stdout.strip() or "nothing said").splitlines()[-1]
        raise ExportError(f"{converter}: expected {GGUF_FILE}, found exit code {process.returncode} ({last[:200]})")
    check_gguf(target)
    return target
