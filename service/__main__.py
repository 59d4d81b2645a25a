"""``python -m service``: the service under uvicorn, at ``SERVICE_HOST`` and ``SERVICE_PORT``."""

import sys

import uvicorn
from pydantic import ValidationError

from service.app import create_app
from service.settings import Settings


def main() -> int:
    """Serve until told to stop. Returns the exit code: 2 if the settings are wrong."""
    try:
        settings = Settings.load()
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
