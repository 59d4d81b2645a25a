"""Marks in excerpts that anybody can have written: everything but the marks is escaped."""

import html

START, STOP = "\x02", "\x03"
"""What PostgreSQL puts around a word that was found. Removed from the text before."""

LESS = "\x04"
"""Stands for "<" while PostgreSQL makes an excerpt, for it leaves out what looks like a tag."""


def marked(excerpt: str) -> str:
    """``excerpt`` as HTML: what stands between `START` and `STOP` in ``<mark>``, all else as text."""
    escaped = html.escape(excerpt.replace(LESS, "<"))
    return escaped.replace(START, "<mark>").replace(STOP, "</mark>")
