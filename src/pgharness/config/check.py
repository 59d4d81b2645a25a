"""What a `Config` must hold to, beyond what the table of options says of each value."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from pgharness.errors import ConfigError

if TYPE_CHECKING:
    from pgharness.config.resolve import Config

TIERS = ("unit", "integration", "api")
TEMPLATE_NAMES = (
    *("url", "asyncpg_url", "psycopg_url", "psycopg2_url"),
    *("host", "port", "user", "password", "database", "sslrootcert"),
)


def check(config: Config) -> None:
    """Raise ConfigError if a value has not the form of its option, or two options contradict each other."""
    for line in config.env:
        name, equals, template = line.partition("=")
        if not (name.strip().isidentifier() and equals):
            raise ConfigError(
                f"pg_env has the line {line!r}, which is not NAME=TEMPLATE.",
                fix=['write it like "DATABASE_URL={asyncpg_url}"'],
            )
        _check_template(line, template)
    _check_tiers(config)
    _check_settings(config)
    for option in ("app", "metadata"):
        value = getattr(config, option)
        if value and value.count(":") != 1:
            raise ConfigError(
                f"pg_{option} = {value!r} ({config.sources[option]}) is not MODULE:ATTRIBUTE.",
                fix=[f'write it like "service.app:{"create_app" if option == "app" else "Base.metadata"}"'],
            )
    for line in config.seed:
        if not line.endswith(".sql") and line.count(":") != 1:
            raise ConfigError(
                f"pg_seed has the line {line!r} ({config.sources['seed']}), which is not MODULE:FUNCTION.",
                fix=['write it like "service.seeds:load", or give the path of a .sql file'],
            )
    if config.backend == "external" and not config.url:
        raise ConfigError(
            f"pg_backend = 'external' ({config.sources['backend']}) needs the address of a server.",
            fix=["give --pg-url=postgresql://user:password@host:port/database"],
        )
    if config.url and config.backend not in ("auto", "external"):
        raise ConfigError(
            f"pg_url ({config.sources['url']}) and pg_backend = {config.backend!r} "
            f"({config.sources['backend']}) contradict each other.",
            fix=["drop one of them"],
        )


def _check_tiers(config: Config) -> None:
    for name in config.tiers:
        if name not in TIERS:
            raise ConfigError(
                f"pg_tiers names {name!r} ({config.sources['tiers']}), which is no tier.",
                fix=["use: " + ", ".join(TIERS)],
            )


def _check_settings(config: Config) -> None:
    source = config.sources["server_settings"]
    for line in config.server_settings:
        name, equals, _ = line.partition("=")
        if not (equals and name.strip().replace(".", "_").isidentifier()):
            raise ConfigError(
                f"pg_server_settings has the line {line!r} ({source}), which is not NAME=VALUE.",
                fix=['write it like "shared_preload_libraries=pg_stat_statements"'],
            )
    if config.server_settings and (config.url or config.backend == "external"):
        raise ConfigError(
            f"pg_server_settings ({source}) cannot be set on the server of pg_url.",
            cause="Somebody else runs it, and others use it.",
            fix=[
                "set them there, and drop them here",
                "set in a migration what a database can have of its own",
            ],
        )


def _check_template(line: str, template: str) -> None:
    """Raise ConfigError if ``template`` is none, or names a value the harness does not know."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        for name in fields:
            if name not in TEMPLATE_NAMES:
                raise ConfigError(
                    f"pg_env has the line {line!r}, in which {name!r} is not a known value.",
                    fix=["use one of: " + " ".join(f"{{{known}}}" for known in TEMPLATE_NAMES)],
                )
        template.format_map(dict.fromkeys(TEMPLATE_NAMES, ""))
    except ValueError as error:
        raise ConfigError(
            f"pg_env has the line {line!r}, which is not a template: {error}.",
            fix=["double a brace that stands for itself: {{ or }}"],
        ) from None
