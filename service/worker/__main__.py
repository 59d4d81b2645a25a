"""``python -m service.worker``: work until SIGTERM or SIGINT, then finish what has been begun.

``--healthy`` asks whether the worker of this machine or container works: exit code 0 if so, else 1.
"""

import argparse
import sys

from service.worker import heartbeat


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service.worker", description="Deliver webhooks.")
    asked = "end with 0 if the worker beside this process works, else with 1"
    parser.add_argument("--healthy", action="store_true", help=asked)
    if parser.parse_args().healthy:
        return heartbeat.check()
    from service.worker.process import work  # noqa: PLC0415 (takes longer than a health check may)

    return work()


if __name__ == "__main__":
    sys.exit(main())
