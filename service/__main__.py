"""``python -m service``: the service under uvicorn, at ``SERVICE_HOST`` and ``SERVICE_PORT``."""

import sys

from pydantic import ValidationError

from service.serving import serve
from service.settings import Settings, complaint
from service.tracing import MissingPackagesError


def main() -> int:
    """Serve until told to stop. Returns the exit code: 2 if the settings are wrong or cannot be had."""
    try:
        serve(Settings.load())
    except ValidationError as error:
        sys.stderr.write(f"{complaint(error)}\n")
        return 2
    except MissingPackagesError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
