"""``python -m service.openapi [FILE]``: write the OpenAPI document, without a database or any secret."""

import json
import sys
from pathlib import Path

from pydantic import SecretStr

from service.app import create_app
from service.settings import Settings


def document() -> str:
    """The document as text: indented, and the same on every machine."""
    app = create_app(Settings(database_url=SecretStr("postgresql+asyncpg://localhost/none")))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    if arguments:
        Path(arguments[0]).write_text(document(), encoding="utf-8")
    else:
        sys.stdout.write(document())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
