import pytest
from sqlmodel import Session


@pytest.fixture
def pg_session_options():
    return {"class_": Session}
