"""The application under test: found, its overrides restored, its lifespan run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Router

from pgharness.errors import AppError
from pgharness.web.app import load, overrides_restored

MODULE = """
from starlette.applications import Starlette

app = Starlette()
number = 7
nested = type("Nested", (), {"app": app})
made = []

def create_app(debug=False):
    made.append(debug)
    return Starlette(debug=debug)

def failing():
    raise KeyError("SECRET")

def wanting(settings):
    return Starlette()

async def raw(scope, receive, send):
    pass

class Callable:
    async def __call__(self, scope, receive, send):
        pass

class Raw:
    def __init__(self, scope, receive, send):
        pass
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module ``project_under_test``, importable and imported."""
    (tmp_path / "project_under_test.py").write_text(MODULE)
    (tmp_path / "broken_under_test.py").write_text("import sys\nraise RuntimeError('no settings')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "project_under_test", raising=False)
    load("project_under_test:app", "ini")
    return sys.modules["project_under_test"]


# -- load ---------------------------------------------------------------------------------------------


def test_an_application_is_returned_as_it_is(project: Any) -> None:
    assert load("project_under_test:app", "ini") is project.app
    assert load("project_under_test:nested.app", "ini") is project.app
    assert load("project_under_test:raw", "ini") is project.raw
    assert load("project_under_test:Raw", "ini") is project.Raw


def test_a_factory_is_called_without_arguments(project: Any) -> None:
    assert isinstance(load("project_under_test:create_app", "ini"), Starlette)
    assert isinstance(load("project_under_test:Callable", "ini"), project.Callable)
    assert project.made == [False]


def refusal(value: str) -> str:
    with pytest.raises(AppError) as caught:
        load(value, "command line")
    return str(caught.value)


def test_what_cannot_be_loaded_says_why(project: Any) -> None:
    paths = list(dict.fromkeys(sys.path))[:3]

    for value, reason in [
        ("nowhere.at_all:app", "ModuleNotFoundError: No module named 'nowhere'"),
        ("broken_under_test:app", "RuntimeError: no settings"),
        (
            "project_under_test:missing",
            "AttributeError: module 'project_under_test' has no attribute 'missing'",
        ),
    ]:
        assert refusal(value) == str(AppError.not_importable(value, "command line", reason, paths))
    assert refusal("") == str(AppError.not_set())
    assert refusal("project_under_test:number") == str(
        AppError.not_an_app("project_under_test:number", "int")
    )


def test_a_factory_that_fails_says_why(project: Any) -> None:
    assert refusal("project_under_test:failing") == str(
        AppError.factory_failed("project_under_test:failing", "command line", "KeyError: 'SECRET'")
    )
    assert "TypeError: wanting() missing 1 required positional argument: 'settings'" in refusal(
        "project_under_test:wanting"
    )


# -- overrides ----------------------------------------------------------------------------------------


def original() -> None: ...


def replacement() -> None: ...


def test_overrides_are_restored_in_every_mounted_application() -> None:
    deep, behind_middleware, sub, app = FastAPI(), FastAPI(), FastAPI(), FastAPI()
    sub.mount("/deep", deep)
    app.mount("/router", Router([Mount("/sub", app=sub)]))
    app.router.routes.append(Mount("/zipped", app=behind_middleware, middleware=[Middleware(GZipMiddleware)]))
    apps = (app, sub, deep, behind_middleware)
    kept = {original: replacement}
    app.dependency_overrides.update(kept)
    before = [one.dependency_overrides for one in apps]

    with overrides_restored(app):
        app.dependency_overrides.clear()
        sub.dependency_overrides[original] = replacement
        deep.dependency_overrides = {original: replacement}
        behind_middleware.dependency_overrides[original] = replacement

    assert [one.dependency_overrides for one in apps] == [kept, {}, {}, {}]
    assert all(one.dependency_overrides is own for one, own in zip(apps, before, strict=True))


def test_overrides_are_restored_behind_middleware_and_after_a_failure() -> None:
    app = FastAPI()

    def fail() -> None:
        app.dependency_overrides[original] = replacement
        raise RuntimeError("in the test")

    with pytest.raises(RuntimeError), overrides_restored(GZipMiddleware(app)):
        fail()

    assert app.dependency_overrides == {}


def test_an_application_may_have_no_overrides_and_may_be_mounted_in_itself() -> None:
    app = FastAPI()
    app.mount("/again", app)

    for one in (app, Starlette(), object()):
        with overrides_restored(one):
            pass
