"""Excerpts become HTML: only the marks are tags."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from service.posts.highlights import LESS, START, STOP, marked


def test_what_was_found_is_marked_and_everything_else_escaped() -> None:
    excerpt = f"<script>alert('{START}board{STOP}')</script> & more"

    assert marked(excerpt) == (
        "&lt;script&gt;alert(&#x27;<mark>board</mark>&#x27;)&lt;/script&gt; &amp; more"
    )


@given(st.text())
def test_any_text_is_shown_as_it_is_and_makes_no_other_tag_than_a_mark(text: str) -> None:
    html_text = marked(text)

    assert set(re.findall("<[^>]*>", html_text)) <= {"<mark>", "</mark>"}
    shown = html.unescape(re.sub("</?mark>", "", html_text))
    assert shown == text.replace(LESS, "<").translate({ord(START): "", ord(STOP): ""})
