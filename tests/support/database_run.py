"""A run in a process of its own: reads its task as JSON, answers as JSON, one line each.

It opens, waits for a line, finds or builds the template, clones, answers, and waits again: for
``close`` it ends as runs do, and it may be killed instead.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pgharness.databases.databases import Databases
from pgharness.schema.find import find
from pgharness.server.base import Address
from tests.support.schema_projects import configure
from tests.support.scratch_server import FoundServer


def main() -> None:
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    config = configure(Path(task["root"]), sql=task["sql"])
    server = FoundServer(Address(**task["address"]), task["version"], owned=True)
    databases = Databases(server, run_id=task["run"], config=config)
    databases.open()
    answer({"open": True})
    sys.stdin.readline()
    template = databases.template(find(config))
    answer({"hit": template.hit, "template": template.name, "clone": databases.clone(task["run"] + "w")})
    sys.stdin.readline()
    databases.close()
    answer({"closed": True})


def answer(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
