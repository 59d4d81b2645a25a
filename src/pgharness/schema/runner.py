"""The process that runs the project's schema code: ``python -m pgharness.schema.runner``.

The job is JSON on standard input, because it holds a password; the result is JSON in the file the
job names, because the project may print what it likes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    job: dict[str, Any] = json.load(sys.stdin)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 (open until the process ends)
    from pgharness.schema import explain, tasks  # noqa: PLC0415 (after the job is read: it is what may fail)

    try:
        result = {"ok": True, **tasks.run(job)}
    except BaseException as error:  # noqa: BLE001 (env.py may call sys.exit)
        result = {"ok": False, **explain.explain(error, job)}
    target = Path(job["result"])
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(target)


if __name__ == "__main__":
    main()
