"""``python -m service``, as a process of its own."""

import json
import re
import signal
import subprocess
import sys

from tests.support.processes import SERVE, environment

FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


def test_the_process_serves_and_stops_when_told_to() -> None:
    # It connects when it is first asked for data: /health needs no database.
    env = environment(DATABASE_URL="postgresql+asyncpg://localhost/board", PORT="0")
    with subprocess.Popen(
        SERVE, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            address = next(found for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
            answer = subprocess.check_output([sys.executable, "-c", FETCH, f"{address[0]}/docs"], text=True)
        finally:
            process.send_signal(signal.SIGINT)
        requests, rest = process.stdout.read(), process.stderr.read()

    assert "<title>Task board" in answer
    assert process.returncode == 0
    assert [json.loads(line)["message"] for line in rest.splitlines()][-1].startswith("Finished server")
    assert [json.loads(line)["path"] for line in requests.splitlines()] == ["/docs"]


def test_spans_that_nothing_can_send_end_the_process_with_a_sentence() -> None:
    without_the_sdk = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None;"
        "from service.__main__ import main; sys.exit(main())"
    )
    env = environment(DATABASE_URL="postgresql+asyncpg://db/board", OTLP_ENDPOINT="http://collector:4318")

    ended = subprocess.run(
        [sys.executable, "-c", without_the_sdk],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 2
    assert ended.stderr == (
        "SERVICE_OTLP_ENDPOINT is set, and the OpenTelemetry SDK is not installed;"
        " install locks/telemetry.txt in place of locks/service.txt, or unset it\n"
    )


def test_loggers_that_would_tell_addresses_and_values_are_quiet_at_any_level() -> None:
    program = (
        "import logging; from service import logs; from service.settings import Settings;"
        "logs.configure(Settings.load());"
        "logging.getLogger('service').debug('ours');"
        "logging.getLogger('httpx').info('theirs');"
        "logging.getLogger('sqlalchemy.engine.Engine').info('theirs')"
    )
    env = environment(DATABASE_URL="postgresql+asyncpg://localhost/board", LOG_LEVEL="DEBUG")

    ran = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)

    assert [json.loads(line)["message"] for line in ran.stderr.splitlines()] == ["ours"]
