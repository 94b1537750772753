"""The text on which drift is measured: a file of the user's, or the one that comes with gradual."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gradual.facts.problems import data_error, printable

EMBEDDED = "reference.txt"
"""In the package's folder `data`: the project's own words, plain English of many kinds."""


def read_reference_text(path: str | None) -> str:
    """The whole text, without white space at its ends, line ends as LF.

    Args:
        path: of a file in UTF-8 (`evaluation.drift_text`), from the current directory; None for the embedded text.

    Raises:
        DataError: there is no such file, or it holds no text.
    """
    if path is None:
        return (resources.files("gradual") / "data" / EMBEDDED).read_text(encoding="utf-8").strip()
    where = f"evaluation.drift_text: {printable(path)}"
    expected, remedy = "a file of text in UTF-8", "correct the path, or leave the setting out for the embedded text"
    try:
        text = Path(path).expanduser().read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"a byte that is none (byte {error.start + 1})"
        raise data_error(where, expected=expected, found=fault, remedy="save it as UTF-8") from None
    except OSError as error:
        fault = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror or error)
        raise data_error(where, expected=expected, found=fault, remedy=remedy) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise data_error(where, expected=expected, found="an empty file", remedy=remedy)
    return text
