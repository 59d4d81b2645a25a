"""Every error the harness raises, one base class, and its warnings."""

from pgharness.errors.base import ConfigError, DatabaseError, HarnessError, SchemaError, ServerError
from pgharness.errors.isolation import IsolationError
from pgharness.errors.use import AppError, TierError

__all__ = [
    "AppError",
    "ConfigError",
    "DatabaseError",
    "HarnessError",
    "IsolationError",
    "SchemaError",
    "ServerError",
    "TierError",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # where users import it from, and what tracebacks say
