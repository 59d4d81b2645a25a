"""What a request may hold: only what PostgreSQL can keep."""

from datetime import UTC, datetime
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from service.schemas import Moment, Storable
from service.tasks.schemas import TaskChange, TaskDraft
from service.users.schemas import Registration

NO_TIME = "must be a time as RFC 3339 writes it, such as 2026-03-01T12:00:00Z"


class Note(BaseModel):
    text: Annotated[str, Storable] = ""
    at: Moment | None = None


def mistakes(error: ValidationError) -> list[tuple[str, str]]:
    return [(".".join(map(str, entry["loc"])), entry["msg"]) for entry in error.errors()]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"text": "a\x00b"}, ("text", "Value error, must not contain the character U+0000")),
        ({"at": "2026-03-01T12:00:00"}, ("at", "Input should have timezone info")),
        *(
            ({"at": number}, ("at", f"Value error, {NO_TIME}"))
            for number in (0, 1772366400.5, "0", "1772366400", "2026-03-01", "tomorrow", True)
        ),
        (
            {"at": "0001-01-01T00:00:00+14:00"},
            ("at", "Value error, must be between the years 1 and 9999 in UTC"),
        ),
        (
            {"at": "9999-12-31T23:59:59-01:00"},
            ("at", "Value error, must be between the years 1 and 9999 in UTC"),
        ),
    ],
)
def test_what_postgresql_cannot_keep_is_refused(values: dict[str, object], expected: tuple[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate(values)

    assert mistakes(caught.value) == [expected]


def test_half_a_surrogate_pair_is_refused_in_a_text_and_in_a_password() -> None:
    with pytest.raises(ValidationError) as in_a_text:
        Note.model_validate({"text": "\ud800"})
    with pytest.raises(ValidationError) as in_a_password:
        Registration.model_validate({"email": "ada@example.org", "name": "Ada", "password": "\ud800"})

    sentence = "Value error, must not contain half of a surrogate pair"
    assert mistakes(in_a_text.value) == [("text", sentence)]
    assert mistakes(in_a_password.value) == [("password", sentence)]


def test_a_moment_is_kept_in_utc() -> None:
    note = Note.model_validate({"at": "2026-03-01T14:00:00+02:00"})

    assert note.at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert note.at.tzinfo is UTC


def test_a_draft_needs_a_title_only() -> None:
    draft = TaskDraft.model_validate({"title": "  Write the report "})

    assert draft.model_dump() == {
        "title": "Write the report",
        "description": "",
        "status": "todo",
        "priority": "normal",
        "due_at": None,
    }


def test_a_change_holds_what_was_given_and_nothing_else() -> None:
    change = TaskChange.model_validate({"due_at": None, "status": "done"})

    assert change.model_dump(exclude_unset=True) == {"due_at": None, "status": "done"}


def test_a_password_is_not_shown() -> None:
    wish = Registration.model_validate(
        {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
    )

    assert "correct horse" not in repr(wish)
