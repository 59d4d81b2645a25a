"""A server that answers, whichever backend it came from."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Literal

from pgharness.server.base import Address


def _nothing() -> None:
    pass


@dataclasses.dataclass(slots=True)
class RunningServer:
    """What `pgharness.server.choose.start` returns; see `pgharness.server.base.Server`."""

    backend: Literal["container", "local", "external"]
    address: Address
    version: str
    detail: str
    owned: bool
    tried: tuple[str, ...] = ()
    superuser: bool = True
    """Whether the user of ``address`` is one."""
    on_stop: Callable[[], None] = dataclasses.field(default=_nothing, repr=False)
    _process: int = dataclasses.field(default_factory=os.getpid, repr=False)

    @property
    def major(self) -> int:
        return major_of(self.version)

    def stop(self) -> None:
        """Stop the server and remove what it left. Safe to call twice, and in a forked process."""
        if self._process != os.getpid():
            return
        on_stop, self.on_stop = self.on_stop, _nothing
        on_stop()


def major_of(version: str) -> int:
    """17 of ``17.11``, ``17.11 (Debian 17.11-1)``, ``18beta2``; 0 if it names none."""
    found = re.match(r"\d+", version)
    return int(found.group()) if found else 0
