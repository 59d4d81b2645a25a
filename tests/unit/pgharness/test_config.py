"""One value of an option: where it is found, how it is read, and what is said of a wrong one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pgharness.config import Config, resolve
from pgharness.config.options import OPTIONS, Option
from pgharness.errors import ConfigError

ROOT = Path("/project")
OPTION = {option.name: option for option in OPTIONS}
Raw = str | Sequence[str]


def resolved(
    *,
    command_line: Mapping[str, Raw] | None = None,
    environ: Mapping[str, str] | None = None,
    ini: Mapping[str, Raw] | None = None,
) -> Config:
    return resolve(
        command_line=(command_line or {}).get, ini=(ini or {}).get, environ=environ or {}, root=ROOT
    )


def refusal(**sources: Any) -> str:
    """The message of the usage error."""
    with pytest.raises(ConfigError) as caught:
        resolved(**sources)
    return str(caught.value)


def test_fields_are_the_options_in_order() -> None:
    fields = [field.name for field in dataclasses.fields(Config)]

    assert fields == [*OPTION, "root", "sources"]


def test_an_option_has_one_name_in_three_spellings() -> None:
    option = OPTION["start_timeout"]

    assert (option.flag, option.ini, option.env) == (
        "--pg-start-timeout",
        "pg_start_timeout",
        "PGHARNESS_START_TIMEOUT",
    )


def test_without_any_source_everything_is_a_default() -> None:
    config = resolved()

    assert {name: getattr(config, name) for name in OPTION} == {o.name: o.default for o in OPTIONS}
    assert set(config.sources.values()) == {"default"}
    assert config.root == ROOT


def test_the_command_line_wins_over_the_environment_and_that_over_the_ini_file() -> None:
    config = resolved(
        command_line={"pg_image": "postgres:18"},
        environ={"PGHARNESS_IMAGE": "postgres:16", "PGHARNESS_PORT": "5433"},
        ini={"pg_image": "postgres:15", "pg_port": "5434", "pg_version": "17"},
    )

    assert (config.image, config.port, config.version) == ("postgres:18", 5433, 17)
    assert {name: config.sources[name] for name in ("image", "port", "version", "bin")} == {
        "image": "command line",
        "port": "environment",
        "version": "ini",
        "bin": "default",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("on", "on"), ("off", "off"), ("True", "on"), ("true", "on"), ("False", "off")]
)
def test_a_switch_is_on_or_off_or_a_boolean_of_toml(text: str, value: str) -> None:
    assert resolved(ini={"pg_reset_sequences": text}).reset_sequences == value


def test_an_empty_variable_is_a_value() -> None:
    config = resolved(environ={"PGHARNESS_APP": ""}, ini={"pg_app": "service.app:app"})

    assert (config.app, config.sources["app"]) == ("", "environment")


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("image", " postgres:18 ", "postgres:18"),
        ("backend", "local", "local"),
        ("version", "17", 17),
        ("start_timeout", "2.5", 2.5),
        ("lock_timeout", "1e3", 1000.0),
        ("sql", ["a.sql", " ", " b.sql"], ("a.sql", "b.sql")),
        ("sql", "a.sql|b.sql\n\nc.sql", ("a.sql", "b.sql", "c.sql")),
        ("sql", [], ()),
    ],
)
def test_values_are_read_by_kind(name: str, raw: Raw, value: object) -> None:
    assert OPTION[name].parse(raw, "the test") == value


def test_relative_paths_start_at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = resolved()

    assert config.path("db/../alembic.ini") == Path("/project/alembic.ini")
    assert config.path("/etc/alembic.ini") == Path("/etc/alembic.ini")
    assert config.path("~/alembic.ini") == Path("/home/somebody/alembic.ini")


def test_the_address_is_not_shown() -> None:
    config = resolved(ini={"pg_url": "postgresql://app:s3cret@db/app"})

    assert config.url == "postgresql://app:s3cret@db/app"
    assert "s3cret" not in repr(config)


# -- two lines for a wrong value ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            {"command_line": {"pg_backend": "docker"}},
            "pgharness: pg_backend = 'docker' (--pg-backend) is not valid.\n"
            "To fix this: use one of: auto, container, local, external",
        ),
        (
            {"environ": {"PGHARNESS_BACKEND": "contaner"}},
            "pgharness: pg_backend = 'contaner' (PGHARNESS_BACKEND) is not valid "
            "(did you mean 'container'?).\n"
            "To fix this: use one of: auto, container, local, external",
        ),
        (
            {"ini": {"pg_isolation": "Rollback"}},
            "pgharness: pg_isolation = 'Rollback' (ini file) is not valid (did you mean 'rollback'?).\n"
            "To fix this: use one of: auto, rollback, database",
        ),
        (
            {"ini": {"pg_version": "17.2"}},
            "pgharness: pg_version = '17.2' (ini file) is not valid.\n"
            "To fix this: use a whole number, zero or more",
        ),
        (
            {"command_line": {"pg_port": "-1"}},
            "pgharness: pg_port = '-1' (--pg-port) is not valid.\n"
            "To fix this: use a whole number, zero or more",
        ),
        *(
            (
                {"ini": {"pg_lock_timeout": text}},
                f"pgharness: pg_lock_timeout = {text!r} (ini file) is not valid.\n"
                "To fix this: use a number of seconds greater than zero",
            )
            for text in ("0", "-1", "inf", "nan", "10s", "")
        ),
        (
            {"ini": {"pg_env": ["DATABASE_URL"]}},
            "pgharness: pg_env has the line 'DATABASE_URL', which is not NAME=TEMPLATE.\n"
            'To fix this: write it like "DATABASE_URL={asyncpg_url}"',
        ),
        (
            {"ini": {"pg_env": ["DATABASE-URL={url}"]}},
            "pgharness: pg_env has the line 'DATABASE-URL={url}', which is not NAME=TEMPLATE.\n"
            'To fix this: write it like "DATABASE_URL={asyncpg_url}"',
        ),
        *(
            (
                {"ini": {"pg_env": [f"DATABASE_URL={{{name}}}"]}},
                f"pgharness: pg_env has the line 'DATABASE_URL={{{name}}}', in which {name!r} "
                "is not a known value.\n"
                "To fix this: use one of: {url} {asyncpg_url} {psycopg_url} {psycopg2_url} {host} {port} "
                "{user} {password} {database} {sslrootcert}",
            )
            for name in ("dsn", "host.name", "host[0]", "0", "")
        ),
        (
            {"ini": {"pg_env": ['DATABASES={"default": {url}}']}},
            "pgharness: pg_env has the line 'DATABASES={\"default\": {url}}', in which '\"default\"' "
            "is not a known value.\n"
            "To fix this: use one of: {url} {asyncpg_url} {psycopg_url} {psycopg2_url} {host} {port} {user} "
            "{password} {database} {sslrootcert}",
        ),
        (
            {"ini": {"pg_env": ["A={url"]}},
            "pgharness: pg_env has the line 'A={url', which is not a template: expected '}' before end of "
            "string.\n"
            "To fix this: double a brace that stands for itself: {{ or }}",
        ),
        (
            {"ini": {"pg_env": ["A={port:x}"]}},
            "pgharness: pg_env has the line 'A={port:x}', which is not a template: Unknown format code 'x' "
            "for object of type 'str'.\n"
            "To fix this: double a brace that stands for itself: {{ or }}",
        ),
        (
            {"ini": {"pg_app": "service.app"}},
            "pgharness: pg_app = 'service.app' (ini) is not MODULE:ATTRIBUTE.\n"
            'To fix this: write it like "service.app:create_app"',
        ),
        (
            {"command_line": {"pg_metadata": "a:b:c"}},
            "pgharness: pg_metadata = 'a:b:c' (command line) is not MODULE:ATTRIBUTE.\n"
            'To fix this: write it like "service.app:Base.metadata"',
        ),
        (
            {"ini": {"pg_seed": ["seed.sql", "service.seeds"]}},
            "pgharness: pg_seed has the line 'service.seeds' (ini), which is not MODULE:FUNCTION.\n"
            'To fix this: write it like "service.seeds:load", or give the path of a .sql file',
        ),
        (
            {"command_line": {"pg_backend": "external"}},
            "pgharness: pg_backend = 'external' (command line) needs the address of a server.\n"
            "To fix this: give --pg-url=postgresql://user:password@host:port/database",
        ),
        (
            {"command_line": {"pg_backend": "local"}, "environ": {"PGHARNESS_URL": "postgresql://a:b@c/d"}},
            "pgharness: pg_url (environment) and pg_backend = 'local' (command line) contradict each other.\n"
            "To fix this: drop one of them",
        ),
    ],
)
def test_a_wrong_value_is_two_lines(sources: dict[str, Any], message: str) -> None:
    assert refusal(**sources) == message
    assert message.count("\n") == 1


@pytest.mark.parametrize("backend", ["auto", "external"])
def test_an_address_goes_with_these_backends(backend: str) -> None:
    config = resolved(ini={"pg_url": "postgresql://a:b@c/d", "pg_backend": backend})

    assert config.backend == backend


def test_templates_may_hold_braces_of_their_own() -> None:
    line = 'DATABASES={{"url": "{asyncpg_url}", "port": {port:>6}}}'

    assert resolved(ini={"pg_env": [line]}).env == (line,)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_default_is_what_its_text_would_give(option: Option) -> None:
    text = "|".join(option.default) if option.kind == "lines" else str(option.default)

    assert option.parse(text, "the default") == option.default


def test_a_directory_that_is_no_tier() -> None:
    assert refusal(ini={"pg_tiers": ["unit", "e2e"]}) == (
        "pgharness: pg_tiers names 'e2e' (ini), which is no tier.\nTo fix this: use: unit, integration, api"
    )
