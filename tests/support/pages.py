"""Pages as a reader and as a browser have them, and texts that would do harm on one."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

HOSTILE = "<script>alert(1)</script></svg></title></style>\"'{{7*7}}{% raw %}<!--&amp;\u202e\x00\x85\u2028\ud800"


BENIGN = "x"


class Skeleton(HTMLParser):
    """The tags of a page and the names of their attributes, in order; the page's words beside them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(("/" + tag,))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


REQUESTING = (
    '<img src="U"><script src="U"></script><script>fetch("U")</script><link rel="stylesheet" href="U"><iframe src="U">'
    '</iframe><object data="U"></object><style>@import "U"; p {background: url(U)}</style><svg><image href="U"/></svg>'
    '<meta http-equiv="refresh" content="0; url=U"><base href="U"><video src="U" autoplay></video><img src=x onerror='
    'location="U"><form action="U"><button>x</button></form><a href="U" ping="U">x</a>" style="background:url(U)" x="'
)


def browse(page: Path, profile: Path) -> str:
    """The page as a browser without a window has it in the end."""
    assert CHROMIUM
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
    command = [
        CHROMIUM,
        *quiet,
        f"--user-data-dir={profile}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
