"""``python -m service``: the service under uvicorn, at ``SERVICE_HOST`` and ``SERVICE_PORT``."""

import sys

from service.serving import serve
from service.settings import WRONG_SETTINGS, Settings
from service.tracing import MissingPackagesError


def main() -> int:
    """Serve until told to stop. Returns the exit code: 2 if the settings are wrong or cannot be had."""
    try:
        serve(Settings.load_or_exit())
    except MissingPackagesError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_SETTINGS
    return 0


if __name__ == "__main__":
    sys.exit(main())
