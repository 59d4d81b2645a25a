"""The options of a run: one table of them, and the values that they are resolved to."""

from pgharness.config.resolve import Config, Source, resolve

__all__ = ["Config", "Source", "resolve"]
