"""The Docker engine of this machine, if one answers."""

from __future__ import annotations

import os

import docker  # type: ignore[import-untyped]  # docker has no types

from pgharness.server import engine

ENGINE, _TRIED = engine.find(os.environ, engine.home_directory())


def containers_of(client: docker.DockerClient, pid: int) -> list[str]:
    found = client.containers.list(all=True, filters={"label": f"pgharness.run.pid={pid}"})
    return [one.name for one in found]
