"""The seeds of `pg_seed`: what fills the template once its schema stands."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pgharness.config import Config
from pgharness.schema import launch, sql
from pgharness.schema.sql import SqlFile
from pgharness.server.base import Address

Seed = SqlFile | str


def read(config: Config) -> list[Seed]:
    """The seeds in their order: SQL files read and split, functions as ``MODULE:FUNCTION``.

    Raises:
        SchemaError: A file is not there, or holds psql's own commands.
    """
    return [sql.read_file(config, "seed", text) if text.endswith(".sql") else text for text in config.seed]


def run(seeds: Sequence[Seed], config: Config, address: Address, database: str) -> None:
    """Run ``seeds`` on ``database``; functions that follow one another share a process.

    Raises:
        SchemaError: One failed; the message names it.
    """
    for _, group in itertools.groupby(seeds, type):
        steps = list(group)
        sql.run(address, database, [step for step in steps if isinstance(step, SqlFile)])
        if targets := [step for step in steps if isinstance(step, str)]:
            launch.seed(config, targets, address, database)
