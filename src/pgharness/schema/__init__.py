"""How an empty database becomes the application's: `find` says by what, `Schema.apply` does it."""

from pgharness.schema.find import Schema, find

__all__ = ["Schema", "find"]
