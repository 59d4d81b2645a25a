"""What a test item was before an attempt, to be so again before the next."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

_LISTS = ("_report_sections", "user_properties", "own_markers")
_CONTAINERS = (list, dict, set, bytearray)


class Before:
    """Knows ``item`` as it is now."""

    def __init__(self, item: pytest.Item) -> None:
        self._item: Any = item
        self._lists = {name: list(getattr(item, name)) for name in _LISTS}
        made: Any = item
        stored: list[Any] = [made.stash._storage, made.keywords._markers]  # noqa: SLF001 - no public way back
        self._mappings = [(mapping, dict(mapping)) for mapping in stored]
        self._matches = set(item.extra_keyword_matches)
        instance = getattr(item, "instance", None)
        if not hasattr(instance, "__dict__") or instance is getattr(item, "module", None):
            instance = None
        self._instance = instance
        self._attributes = dict(vars(instance)) if instance is not None else {}
        self._parameters: list[tuple[Any, Any]] = []
        for value in getattr(getattr(item, "callspec", None), "params", {}).values():
            if isinstance(value, _CONTAINERS):
                with contextlib.suppress(Exception):  # what cannot be copied stays as the attempt leaves it
                    self._parameters.append((value, copy.deepcopy(value)))

    def restore(self) -> None:
        """Have the item as it was."""
        item = self._item
        for name, values in self._lists.items():
            getattr(item, name)[:] = values
        for mapping, kept in self._mappings:
            mapping.clear()
            mapping.update(kept)
        item.extra_keyword_matches.clear()
        item.extra_keyword_matches.update(self._matches)
        if self._instance is not None:
            vars(self._instance).clear()
            vars(self._instance).update(self._attributes)
        for value, original in self._parameters:
            if isinstance(value, (list, bytearray)):
                value[:] = original
            else:
                value.clear()
                value.update(original)
