"""Runs the service and its worker side by side until Ctrl-C: ``pgharness run -- python -m tools.serve``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping

# In development the worker may send to this machine: who tries webhooks has a receiver there.
DEFAULTS = {"SERVICE_PORT": "8000", "SERVICE_WEBHOOK_PRIVATE_TARGETS": "true"}
PROGRAMS = ("service", "service.worker")
GUIDE = """
  documentation   http://127.0.0.1:{port}/docs    the first user to register is the admin
  webhooks        the worker delivers them, to http://127.0.0.1 too
  data            go when this ends: Ctrl-C

"""


def is_free(port: int) -> bool:
    """Whether the service will be able to listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def serve(environment: Mapping[str, str]) -> int:
    """Run both until a signal comes or one of them ends. Returns the first exit code that is not 0."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    codes = await asyncio.gather(*(run(program, environment, told) for program in PROGRAMS))
    return next((code for code in codes if code > 0), 0)


async def run(program: str, environment: Mapping[str, str], told: asyncio.Event) -> int:
    """Run a program until ``told``, and set that if it ends by itself. One that is killed starts again."""
    while True:
        # In a session of its own: a terminal's Ctrl-C reaches this process alone, which tells each once.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", program, env=environment, start_new_session=True
        )
        end, stop = asyncio.create_task(process.wait()), asyncio.create_task(told.wait())
        await asyncio.wait([end, stop], return_when=asyncio.FIRST_COMPLETED)
        if not end.done():
            process.terminate()
        code = await end
        if code >= 0 or told.is_set():
            told.set()
            return code
        stop.cancel()
        sys.stderr.write(f"{program} was killed by signal {-code}: starting it again\n")


def main() -> int:
    environment = {**DEFAULTS, **os.environ}
    port = environment["SERVICE_PORT"]
    if port.isdecimal() and not is_free(int(port)):
        sys.stderr.write(f"port {port} is taken; for another one: SERVICE_PORT={int(port) + 1} ./dev serve\n")
        return 1
    sys.stderr.write(GUIDE.format(port=port))
    return asyncio.run(serve(environment))


if __name__ == "__main__":
    sys.exit(main())
