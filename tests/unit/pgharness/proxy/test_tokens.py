"""SQL as tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgharness.proxy.core.tokens import Token, TokenKind, tokenize

_MARKS = r"""' " \ a é ; 1 . + - @ _ E' U&' U&" $$ $a$ /* */ -- '' $1 :: \u12 \xff 0x 1e b'"""
_PARTS = st.sampled_from([*_MARKS.split(), " ", "\n", "\x00", "\u00a0", "uescape '!'"])
_TEXTS = st.one_of(st.text(), st.lists(_PARTS).map("".join))


def _read(text: str) -> list[tuple[TokenKind, str]]:
    return [(kind, value) for kind, value, _, _ in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Select", "select"),
        ("_a1$", "_a1$"),
        ("ÜbUng", "Übung"),  # PostgreSQL folds no letter outside ASCII
        ("a$b$c", "a$b$c"),
        ("x" * 64, "x" * 63),
        ("é" * 40, "é" * 31),  # no half of a character
        ("e", "e"),
        ("u", "u"),
        ("\u00a0", "\u00a0"),
    ],
)
def test_a_word(text: str, value: str) -> None:
    assert tokenize(text) == [Token("word", value, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"Users"', "Users"),
        ('"two ""words"""', 'two "words"'),
        ('"a\nb;--"', "a\nb;--"),
        ('U&"d\\0061t\\+000061"', "data"),
        ("u&\"d!0061!!\" UESCAPE '!'", "da!"),
        ('U&"a""\\\\b"', 'a"\\b'),
        ('"' + "é" * 40 + '"', "é" * 31),
        ('"not ended', "not ended"),
        ('"not ended""', 'not ended"'),
    ],
)
def test_a_quoted_identifier(text: str, value: str) -> None:
    assert tokenize(text) == [Token("quoted", value, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("''", ""),
        ("'it''s'", "it's"),
        (r"'a\'", "a\\"),
        ("'a;--/*'", "a;--/*"),
        ("'a'\n'b'", "ab"),
        ("'a'  -- it's\n\t\n'b' \n -- more\n 'c''d'", "abc'd"),
        ("'not ended; ", "not ended; "),
        ("'not ended''", "not ended'"),
        (r"E'\'\\\n\t\b\f\r\q'''", "'\\\n\t\b\f\rq'"),
        (r"e'\x41\101\u00e9\U0001F600\xC3\xA9'", "AAé😀é"),
        (r"E'\uD83D\uDE00'", "😀"),
        (r"E'\xff'", "\ufffd"),
        (r"E'\U99999999'", r"\U99999999"),
        ("E'a\\''\n'\\'b'", "a''b"),
        ("E'\\", "\\"),
        ("B'0101'", "0101"),
        ("x'1fF'", "1fF"),
        ("N'a''b'", "a'b"),
        (r"U&'d\0061t\+000061\\'''", "data\\'"),
        ("U&'d!0061' uescape '!'", "da"),
        (r"U&'\D83D\DE00'", "😀"),
        (r"U&'\+999999'", r"\+999999"),
        ("U&'a'\n'\\0062'", "ab"),
        ("$$a 'b' $c$ $$", "a 'b' $c$ "),
        ("$é1$ $$ $e$ $é1$", " $$ $e$ "),
        ("$a$ not ended $b$", " not ended $b$"),
    ],
)
def test_a_string(text: str, value: str) -> None:
    assert tokenize(text) == [Token("string", value, 0, len(text))]


@pytest.mark.parametrize(
    "text", ["0", "12_345", "1.", "1.5", ".5", "1e10", "1.5E-3", ".5e+1", "0x1F", "0b01", "0O17"]
)
def test_a_number(text: str) -> None:
    assert tokenize(text) == [Token("number", text, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b,c;", ["a", ".", "b", ",", "c", ";"]),
        ("a=-1", ["a", "=", "-", "1"]),
        ("a @-b", ["a", "@-", "b"]),
        ("a*-+b", ["a", "*", "-", "+", "b"]),
        ("a<=b<>c!=d", ["a", "<=", "b", "<>", "c", "!=", "d"]),
        ("a::b:=c=>d", ["a", "::", "b", ":=", "c", "=>", "d"]),
        ("1..10", ["1", "..", "10"]),
        ("a->>'b'||c", ["a", "->>", "b", "||", "c"]),
        ("a+/* b */c", ["a", "+", "c"]),
        ("a+--b", ["a", "+"]),
        ("a[1:2]", ["a", "[", "1", ":", "2", "]"]),
        ("(*)", ["(", "*", ")"]),
        ("{\\}$", ["{", "\\", "}", "$"]),
    ],
)
def test_operators(text: str, values: list[str]) -> None:
    assert [value for _, value in _read(text)] == values


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\r\n\f\v", []),
        ("-- a", []),
        ("a -- b\rc", [("word", "a"), ("word", "c")]),
        ("/* a /* b */ ; */ c", [("word", "c")]),
        ("/*/ a */ b", [("word", "b")]),
        ("a /* b /* c */", [("word", "a"), ("op", "/* b /* c */")]),
        ("$1$2", [("param", "$1"), ("param", "$2")]),
        ("'a' 'b'", [("string", "a"), ("string", "b")]),
        ("ae'b'", [("word", "ae"), ("string", "b")]),
        ("u & 'a'", [("word", "u"), ("op", "&"), ("string", "a")]),
    ],
)
def test_what_stands_between_tokens(text: str, tokens: list[tuple[TokenKind, str]]) -> None:
    assert _read(text) == tokens


@given(_TEXTS)
def test_any_text_has_its_tokens_in_order(text: str) -> None:
    end = 0

    for token in tokenize(text):
        assert end <= token.start < token.end <= len(text)
        end = token.end
