"""The fixtures of the contender whose turn it is, as a project's conftest has them."""

from __future__ import annotations

import importlib
import os

_contender = importlib.import_module(f"truth.contenders.{os.environ['TRUTH_CONTENDER']}")
globals().update({name: value for name, value in vars(_contender).items() if not name.startswith("__")})
