"""The names of the databases that the harness makes. They tell people; the ledger decides."""

from __future__ import annotations

import hashlib
import re

_NAME_BYTES = 63
_END = "_test"
_RUN = re.compile(r"[a-z0-9]{4,20}")


def run_label(run_id: str) -> str:
    """``run_id`` as names carry it: itself, if it is 4 to 20 lower-case letters and digits."""
    return run_id if _RUN.fullmatch(run_id) else _hash(run_id)


def worker_database_name(run_id: str, worker: str) -> str:
    """The name of a worker's database, known before the server runs; at most 63 bytes.

    It ends in ``_test``, for applications that insist on it. Different workers never share a name.
    """
    start = f"pgh_{run_label(run_id)}_"
    room = _NAME_BYTES - len(start) - len(_END)
    plain = re.fullmatch(r"[a-z0-9]+", worker) and len(worker) <= room
    return start + (worker if plain else f"w_{_hash(worker)}") + _END


def template_name(fingerprint: str) -> str:
    return f"pgh_t_{fingerprint}"


def spare_name(run_id: str, worker: str, number: int) -> str:
    """A clone made ahead for ``worker``, or the one it has just done with."""
    return f"pgh_{run_label(run_id)}_s_{_hash(worker)}_{number}{_END}"


def is_spare(name: str, run_id: str, worker: str) -> bool:
    return name.startswith(f"pgh_{run_label(run_id)}_s_{_hash(worker)}_")


def empty_name(run_id: str, worker: str, number: int) -> str:
    """An empty database that a test asked for."""
    return f"pgh_{run_label(run_id)}_e_{_hash(worker)}_{number}{_END}"


def build_name(fingerprint: str, run_id: str) -> str:
    return f"pgh_b_{fingerprint}_{run_label(run_id)}{_END}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_of(name: str) -> str | None:
    """The run that a name carries; for a database whose comment was never written."""
    match = re.fullmatch(rf"pgh_(?:b_[0-9a-f]{{12}}_)?({_RUN.pattern})(?:_\w+)?{_END}", name)
    return match[1] if match else None
