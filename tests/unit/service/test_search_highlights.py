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
def test_no_text_makes_another_tag_than_a_mark(text: str) -> None:
    assert set(re.findall("<[^>]*>", marked(text))) <= {"<mark>", "</mark>"}


@given(st.text(st.characters(exclude_characters=[LESS, START, STOP])))
def test_the_text_is_what_it_was(text: str) -> None:
    assert html.unescape(marked(text)) == text
