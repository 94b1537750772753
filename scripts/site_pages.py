"""Pages of the site that lie outside of docs/, and links to them: a hook of mkdocs (mkdocs.yml).

README.md, CONTRIBUTING.md and others stay where a forge shows them. The site gets a copy of each, and every link from
page to page is written anew for where the pages lie on the site. Files that pages link to, such as examples, are
copied as they are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Pages outside of docs/, by path in the repository, and what the site calls them."""
PLACES: Mapping[str, str] = {**PAGES, "README.md": "index.md", "examples": "examples/own_facts.py"}
"""Where else links to a path of the repository lead."""
COPIES = ("examples/*.py", "benchmarks/*.svg")
"""Files that are copied as they are."""

_LINK = re.compile(r"(\]\()(?!\w+:)([^)#\s]+)")


def site_path(path: str) -> str:
    """Where a path of the repository lies on the site."""
    return PLACES.get(path, path.removeprefix("docs/"))


def relink(markdown: str, path: str) -> str:
    """The page with its links leading to pages of the site.

    Args:
        markdown: the text of the page.
        path: path of the page in the repository.
    """
    here = posixpath.dirname(site_path(path))

    def anew(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2]))
        return found[1] + posixpath.relpath(site_path(target), here or ".")

    return _LINK.sub(anew, markdown)


def copied_files() -> Iterable[str]:
    """Paths in the repository of the files that are copied."""
    return (file.relative_to(ROOT).as_posix() for pattern in COPIES for file in sorted(ROOT.glob(pattern)))


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages and files from outside of docs/ (called by mkdocs)."""
    from mkdocs.structure.files import File

    for path, name in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    for path in copied_files():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's text with links for the site (called by mkdocs)."""
    name = page.file.src_uri
    paths = {to: path for path, to in PAGES.items()}
    return relink(markdown, paths.get(name, f"docs/{name}"))
