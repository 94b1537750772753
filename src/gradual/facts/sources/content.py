"""What is in a file, whatever its name says: unpacked, called by its kind, and decoded piece by piece.

Knows bytes and characters; what rows they are is for `json_rows`, `delimited` and `arrow`.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from gradual.facts.problems import data_error, quote

PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""Endings of single packed files, which are read as what they hold."""
PIECE_BYTES = 1 << 20

_HEAD_BYTES = 512
_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_LIKELY_ENCODINGS = ("gb18030", "cp932", "cp1252")
"""Tried in this order to say what a file that is not UTF-8 could be."""


class _Foreign(NamedTuple):
    """A kind of file that holds no rows as it is: how it begins, what it is called, and what to do."""

    beginning: bytes
    called: str
    remedy: str


_FOREIGN = (
    _Foreign(b"version https://git-lfs", "a Git LFS pointer", "fetch what it points to with `git lfs pull`"),
    _Foreign(b"<!doctype html", "an HTML page", "download the file itself, not the page that shows it"),
    _Foreign(b"<html", "an HTML page", "download the file itself, not the page that shows it"),
    _Foreign(b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)", "unpack it, or save the sheet as CSV"),
    _Foreign(b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "save the sheet as CSV"),
    _Foreign(b"%PDF", "a PDF document", "export its rows as CSV or JSON Lines"),
    _Foreign(b"SQLite format 3", "a SQLite database", "export the table as CSV"),
    _Foreign(b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    _Foreign(b"Rar!", "a RAR archive", "unpack it first"),
)
"""Compared with the beginning of the file in lower and in own case, white space left out."""


def _open_zstd(path: Path) -> Any:
    import pyarrow

    return pyarrow.input_stream(str(path), compression="zstd")


_PACKED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"\x28\xb5\x2f\xfd": _open_zstd,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """The text in a file or in memory; it can be read again and again."""

    name: str
    """What errors call it."""
    open: Callable[[], IO[bytes]]
    encoding: str | None = None
    """As set; None: UTF-8, or what a byte order mark says."""

    def pieces(self) -> Iterator[str]:
        """The text in pieces of about a million characters; byte order marks are left out, wherever they stand.

        Raises:
            DataError: it is not text in its encoding, holds NUL, or is nothing but white space.
        """
        encoding, offset, line, is_blank = self.encoding or "", 0, 1, True
        decoder: Any = None
        try:
            with self.open() as stream:
                while True:
                    data = stream.read(PIECE_BYTES)
                    if decoder is None:
                        encoding = encoding or _UTF_16.get(data[:2], "utf-8")
                        decoder = codecs.getincrementaldecoder(encoding)()
                    pending = len(decoder.getstate()[0])
                    try:
                        text = decoder.decode(data, final=not data).replace("\ufeff", "")
                    except UnicodeDecodeError as error:
                        raise self._undecodable(error, offset - pending, line, encoding) from None
                    self._refuse_nul(text, line)
                    offset, line = offset + len(data), line + text.count("\n")
                    is_blank = is_blank and not text.strip()
                    yield text
                    if not data:
                        break
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise self._damage_error(error) from None
        except OSError as error:
            if error.errno:
                raise  # the disk's fault, not the file's
            raise self._damage_error(error) from None
        if is_blank:
            raise data_error(
                self.name, expected="at least one fact", found="an empty file", remedy="write facts into it"
            )

    def text(self) -> str:
        """All of the text; raises as `pieces`."""
        return "".join(self.pieces())

    def _damage_error(self, error: Exception) -> Exception:
        fault = f"damaged data ({quote(str(error))[1:-1]})"
        return data_error(self.name, expected="a packed file", found=fault, remedy="pack or download it again")

    def _refuse_nul(self, text: str, line: int) -> None:
        nul = text.find("\0")
        if nul >= 0:
            where = f"{self.name}:{line + text.count(chr(10), 0, nul)}"
            remedy = "delete it, or save the file as UTF-8"
            raise data_error(where, expected="text", found="a NUL character", remedy=remedy)

    def _undecodable(self, error: UnicodeDecodeError, offset: int, line: int, encoding: str) -> Exception:
        data, start = bytes(error.object), error.start
        line += data.count(b"\n", 0, start)
        where = f"{self.name}:{line}"
        fault = f"the byte 0x{data[start]:02x} at offset {offset + start}"
        if self.encoding:
            expected, remedy = f"text in {encoding} (facts.encoding)", "name the encoding that it was saved in"
            return data_error(where, expected=expected, found=fault, remedy=remedy)
        likely = _likely_encoding(data, start)
        hint = f", or set facts.encoding ({likely})" if likely else ""
        return data_error(where, expected="UTF-8 text", found=fault, remedy=f"save the file as UTF-8{hint}")


def content_of_file(path: Path, name: str, encoding: str | None) -> Content:
    """The content of a file, unpacked where it is packed.

    Raises:
        DataError: what is in the file is no text with rows, by its first bytes.
    """
    opener = _opener(path)
    refuse_foreign(name, opener)
    return Content(name, opener, encoding)


def content_of_bytes(name: str, data: bytes) -> Content:
    """The content of a text in memory, in UTF-8."""
    return Content(name, lambda: io.BytesIO(data))


def begins_with(path: Path, beginning: bytes) -> bool:
    """Whether a file's first bytes are these."""
    with path.open("rb") as stream:
        return stream.read(len(beginning)) == beginning


def refuse_foreign(name: str, opener: Callable[[], IO[bytes]]) -> None:
    """Finds out whether a file is of a kind that cannot hold rows.

    Raises:
        DataError: it is; the kind is named.
    """
    try:
        with opener() as stream:
            head = stream.read(_HEAD_BYTES).lstrip()
    except (EOFError, zlib.error, lzma.LZMAError, OSError):
        return  # told where the whole is read
    for kind in _FOREIGN:
        if head.startswith(kind.beginning) or head.lower().startswith(kind.beginning):
            raise data_error(name, expected="rows of facts", found=kind.called, remedy=kind.remedy)


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    with path.open("rb") as stream:
        head = stream.read(8)
    for beginning, unpacked in _PACKED.items():
        if head.startswith(beginning):
            return lambda: unpacked(path)
    return lambda: path.open("rb")


def _likely_encoding(data: bytes, start: int) -> str:
    """The first of the likely encodings in which the bytes around the first odd one are readable; empty for none."""
    around = data[max(0, start - 200) : start + 200]
    begin, end = around.find(b"\n") + 1, around.rfind(b"\n")
    lines = around[begin:end] if end > begin else around
    high = [place for place, byte in enumerate(lines) if byte > 0x7F]
    alone = sum(place - 1 not in high and place + 1 not in high for place in high)
    # Single high bytes among ASCII are accented letters of a Latin alphabet; those of Chinese come in pairs.
    for encoding in _LIKELY_ENCODINGS if 2 * alone < len(high) else _LIKELY_ENCODINGS[-1:]:
        try:
            text = lines.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(char.isprintable() or char.isspace() for char in text):
            return encoding
    return ""
