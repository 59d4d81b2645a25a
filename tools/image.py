"""Builds the image and uses it as a deployment would, with compose: then nothing is left of it.

An empty database, ten migrations at once, the flow of a user, a stop under load. Needs a Docker engine with
``docker compose``; on a machine without a registry the images that the files name must be there.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = "task-board-check"
COMPOSE = ["docker", "compose", "--project-name", PROJECT]
# Port 0: any that is free. Two runs on one machine do not meet.
ENVIRONMENT = {**os.environ, "DOCKER_BUILDKIT": "1", "PORT": "0", "POSTGRES_PASSWORD": "only-for-this-check"}
REPLICAS = 10
CLIENTS = 8


def run(*command: str) -> str:
    """What a command prints; its end with an error ends the check."""
    ran = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout.strip()


@contextmanager
def stack() -> Iterator[None]:
    """The compose project, taken down with all it made, and looked for afterwards."""
    try:
        yield
    except BaseException:
        print(run(*COMPOSE, "logs", "--no-color", "--tail=40"))
        raise
    finally:
        run(*COMPOSE, "--profile=tests", "down", "--volumes", "--timeout=15")
        label = f"label=com.docker.compose.project={PROJECT}"
        left = [run("docker", kind, "ls", "--quiet", "--filter", label) for kind in ("volume", "network")]
        left.append(run("docker", "ps", "--all", "--quiet", "--filter", label))
        if any(left):
            raise SystemExit(f"left behind: {left}")


def ask(url: str, body: object = None, token: str = "", form: bytes = b"") -> tuple[int, dict[str, object]]:
    """The status and the JSON of a response; 4xx and 5xx end the check."""
    data = form or (json.dumps(body).encode() if body is not None else None)
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as response:
        return response.status, json.load(response)


def migrate_at_once() -> None:
    """Ten replicas of the migration step on an empty database: all succeed, and one has migrated."""
    command = [*COMPOSE, "run", "--rm", "--no-deps", "-T", "migrate"]
    replicas = [
        subprocess.Popen(
            command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(REPLICAS)
    ]
    outputs = [replica.communicate()[0] for replica in replicas]
    codes = [replica.returncode for replica in replicas]
    migrated = sum("Running upgrade" in output or '"migrated' in output for output in outputs)
    if codes != [0] * REPLICAS:
        raise SystemExit(f"migrations ended with {codes}\n{outputs}")
    print(f"{REPLICAS} migrations at once: all ended with 0, {migrated} migrated; one of the others says:")
    print(textwrap.indent(min(outputs, key=len).strip(), "  "), flush=True)


def flow(url: str) -> None:
    """What a user does first."""
    api = f"{url}/api/v1"
    person = {"email": "ada@example.org", "password": "correct-Horse-9-battery", "name": "Ada"}
    ask(f"{api}/users", person)
    form = b"username=ada%40example.org&password=correct-Horse-9-battery"
    token = str(ask(f"{api}/auth/token", form=form)[1]["access_token"])
    status, task = ask(f"{api}/tasks", {"title": "Look at the image"}, token)
    _, again = ask(f"{api}/tasks/{task['id']}", token=token)
    print(f"registered, logged in, made a task: {status}, read again: {again['title']!r}")


def load(url: str, told: threading.Event, seen: Counter[str]) -> None:
    """Ask again and again, as behind a load balancer: until an answer says that this replica stops."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    while not told.is_set():
        try:
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            seen[f"lost: {type(error).__name__}"] += 1
            return
        seen[str(response.status)] += 1
        if response.getheader("connection") == "close":
            seen["told to go elsewhere"] += 1
            return


def stop_under_load(url: str) -> None:
    seen: Counter[str] = Counter()
    told = threading.Event()
    clients = [threading.Thread(target=load, args=(url, told, seen)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(2)  # of load, before and after which is counted
    run(*COMPOSE, "stop", "api")
    told.set()
    for client in clients:
        client.join()
    code = run("docker", "inspect", "--format={{.State.ExitCode}}", run(*COMPOSE, "ps", "-aq", "api"))
    lost = {key: count for key, count in seen.items() if key.startswith("lost")}
    print(
        f"stopped under load: {seen['200']} requests answered, lost: {lost or 'none'};"
        f" {seen['told to go elsewhere']} of {CLIENTS} clients told to go elsewhere; exit code {code}"
    )
    if seen["told to go elsewhere"] != CLIENTS or lost or code != "0":
        raise SystemExit("requests were lost, or the process did not end by itself")


def main() -> int:
    """Returns 0, or ends with a sentence."""
    with stack():
        print("building the images (minutes, the first time)", flush=True)
        run(*COMPOSE, "--profile=tests", "build")
        for name in ("task-board", "task-board:test"):
            print(f"{name}: {int(run('docker', 'inspect', '--format={{.Size}}', name)) / 1e6:.0f} MB")
        run(*COMPOSE, "up", "--detach", "--wait", "db")
        migrate_at_once()
        run(*COMPOSE, "up", "--detach", "--wait", "worker")
        run(*COMPOSE, "up", "--detach", "--wait", "api")
        url = f"http://{run(*COMPOSE, 'port', 'api', '8000')}"
        print(f"api: {ask(f'{url}/health')}, ready: {ask(f'{url}/ready')}, docs: {url}/docs")
        facts = (
            "import os; print(os.getuid(), os.access('/app', os.W_OK), os.statvfs('/').f_flag & os.ST_RDONLY)"
        )
        user, writable, read_only = run(*COMPOSE, "exec", "-T", "api", "python", "-c", facts).split()
        print(
            f"user {user}, may write to the code: {writable}, root file system read-only: {read_only == '1'}"
        )
        if (user, writable, read_only) != ("10001", "False", "1"):
            raise SystemExit("not as it should be")
        flow(url)
        stop_under_load(url)
    print("nothing is left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
