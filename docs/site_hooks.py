"""Hooks of mkdocs: the pages that lie beside docs/, and links to what is not a page.

In the repository a page may link to any file. On the site a link to one of `ROOT_PAGES` leads to its
page, and a link to any other file outside docs/ becomes the file's name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    "README.md": "start.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "concepts/benchmarks.md",
}
# Their tables need the room that the list of headings has elsewhere.
WIDE = ("concepts/truth.md", "concepts/isolation.md")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie beside docs/."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    """The page with its links as they are on the site."""
    if page.file.src_uri in WIDE:
        page.meta["hide"] = ["toc"]
    sources = {target: source for source, target in ROOT_PAGES.items()}
    origin = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        found = ROOT_PAGES.get(path, path.removeprefix("docs/"))
        file = files.get_file_from_path(found)
        if (path in ROOT_PAGES or path.startswith("docs/")) and file and not file.inclusion.is_excluded():
            here = posixpath.dirname(page.file.src_uri) or "."
            return f"[{text}]({posixpath.relpath(found, here)}{anchor})"
        return text

    return _LINK.sub(link, markdown)
