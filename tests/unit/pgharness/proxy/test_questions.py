"""What the proxy asks the process that tests, which may be slow to answer."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pgharness.proxy.server.questions import Questions


class Line:
    """A connection on which answers come as they are told; None is one that does not come in time."""

    def __init__(self, *answers: bytes | None) -> None:
        self.asked = b""
        self._answers = list(answers)

    def settimeout(self, _: float) -> None: ...

    def sendall(self, data: bytes) -> None:
        self.asked += data

    def recv(self, _: int) -> bytes:
        answer = self._answers.pop(0)
        if answer is None:
            raise TimeoutError
        return answer


def _questions(*answers: bytes | None) -> tuple[Questions, Line]:
    line: Any = Line(*answers)
    return Questions(line), line


def test_a_place_is_asked_for() -> None:
    questions, line = _questions(b'"shop.py:7 in', b' buy"\n')

    assert questions.place(3) == "shop.py:7 in buy"
    assert line.asked == b"place 3\n"


def test_an_answer_that_comes_too_late_is_taken_for_no_other() -> None:
    questions, _ = _questions(None, b'"late"\n"second"\n', None, None, b'"late"\n', b'"late"\n"fifth"\n')

    assert [questions.place(number) for number in range(5)] == ["", "second", "", "", "fifth"]


def test_nobody_answers_any_more() -> None:
    questions, _ = _questions(b"", b"")

    assert [questions.place(1), questions.place(2)] == ["", ""]


def test_time_is_asked_for_only_where_it_may_stand_still() -> None:
    questions, line = _questions(b'"2020-01-02T03:04:05+00:00"\n', b'""\n')

    running = questions.now()
    questions.frozen = True
    frozen, silent = questions.now(), questions.now()

    assert frozen == "2020-01-02T03:04:05+00:00"
    assert line.asked == b"now\nnow\n"
    for text in (running, silent):
        assert abs(dt.datetime.fromisoformat(text) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=30)
