"""Where pytest finds the harness: its options, and all else only in a project that has adopted it.

Without a ``pg_`` line in the ini file and without a ``--pg-`` option on the command line nothing is done: no
hook, no fixture and no environment variable are the harness's.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pgharness.config import resolve
from pgharness.config.options import OPTIONS, declare
from pgharness.errors import HarnessError


def pytest_addoption(parser: pytest.Parser) -> None:
    declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if is_adopted(early_config, early_config.known_args_namespace):
        set_up(early_config, early_config.known_args_namespace)


def pytest_configure(config: pytest.Config) -> None:
    # Loaded by a conftest: too late for the environment of what that imports.
    if not config.pluginmanager.has_plugin("pgharness-run") and is_adopted(config, config.option):
        set_up(config, config.option)


def is_adopted(config: pytest.Config, namespace: Any) -> bool:
    """Whether the project, or whoever runs it, has set an option."""
    names = [option.ini for option in OPTIONS]
    return any(
        getattr(namespace, name, None) is not None or config.getini(name) is not None for name in names
    )


def set_up(config: pytest.Config, namespace: Any) -> Any:
    """Resolve the options, bind the address that the app is told, and register hooks and fixtures.

    Returns the `Harness`.

    Raises:
        pytest.UsageError: An option is not valid.
    """
    from pgharness.fixtures import plugin as fixtures  # noqa: PLC0415 - only for who has adopted it
    from pgharness.hooks.run import Hooks  # noqa: PLC0415 - the same
    from pgharness.runs.harness import KEY, Harness, usage_error  # noqa: PLC0415 - the same

    root = config.inipath.parent if config.inipath is not None else config.rootpath
    try:
        resolved = resolve(
            command_line=lambda name: getattr(namespace, name, None),
            ini=config.getini,
            environ=os.environ,
            root=root,
        )
        harness = config.stash[KEY] = Harness(resolved)
        harness.wait_early()
    except HarnessError as error:
        raise usage_error(error) from None
    config.pluginmanager.register(fixtures, "pgharness-fixtures")
    if resolved.tiers:
        from pgharness.hooks.tiers import TierHooks  # noqa: PLC0415 - only where tiers are wanted

        config.pluginmanager.register(TierHooks(harness), "pgharness-tiers")
    config.pluginmanager.register(Hooks(harness), "pgharness-run")
    return harness
