"""The proxy's process: ``python -I -S -c START``, with nothing but the standard library.

The process that starts it hands it sockets: those that listen, the one on which it gives orders and
the one on which it is asked. The first order says where the server is and how this run isolates.
"""

from __future__ import annotations

import contextlib
import gc
import json
import signal
import socket
import sys

from pgharness.proxy.server.proxy import Proxy


def main(arguments: list[str]) -> None:
    """Serve until the process that tests has gone.

    Args:
        arguments: The descriptors: control, questions, and the listeners.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that tests, which ends this one
    gc.freeze()
    gc.set_threshold(50000, 20, 20)
    serve([int(number) for number in arguments])


def serve(descriptors: list[int]) -> None:
    """Serve on sockets with these ``descriptors``, in the order of `main`."""
    control, questions, *listeners = (socket.socket(fileno=number) for number in descriptors)
    with contextlib.ExitStack() as opened:
        for each in (control, questions, *listeners):
            opened.enter_context(each)
        data = b""
        while b"\n" not in data:
            more = control.recv(65536)
            if not more:
                return
            data += more
        first, _, orders = data.partition(b"\n")
        proxy = Proxy(listeners, control, questions, json.loads(first))
        opened.callback(proxy.close)
        proxy.orders.take(orders)
        proxy.run()


if __name__ == "__main__":
    main(sys.argv[1:])
