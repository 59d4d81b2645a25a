# The service as an image, in two targets: `runtime` (the API, the worker, the migrations) and `test`
# (the same, with what the three tiers need).
#
#   docker build --target runtime -t task-board .
#   docker build --secret id=pip_config,src=$HOME/.config/pip/pip.conf ...    an index of your own
#
# Needs BuildKit; its own frontend is enough, so no `# syntax=` line fetches another.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS base
# A line for the user: initdb, which the tests run, wants a name for the number.
RUN echo 'service:x:10001:10001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'service:x:10001:' >> /etc/group
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM base AS dependencies
# Or `service`: 8 MB less, and no spans.
ARG LOCK=telemetry
# --without-pip: what runs needs no installer, and the base's own serves. It compiles what it installs.
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    --mount=type=bind,source=locks/service.txt,target=/tmp/service.txt \
    --mount=type=bind,source=locks/telemetry.txt,target=/tmp/telemetry.txt \
    python -m venv --without-pip /opt/service \
 && python -m pip --python /opt/service/bin/python install --cache-dir /var/cache/pip --require-hashes -r /tmp/${LOCK}.txt

FROM base AS code
COPY alembic.ini /app/
COPY migrations /app/migrations
COPY service /app/service
# The files never change here, so their bytecode need not be checked against them.
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM base AS runtime
COPY --from=dependencies /opt/service /opt/service
COPY --from=code /app /app
WORKDIR /app
ENV PATH=/opt/service/bin:$PATH \
    SERVICE_ENVIRONMENT=production \
    SERVICE_HOST=0.0.0.0 \
    SERVICE_PORT=8000 \
    SERVICE_DRAIN_SECONDS=5
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SERVICE_PORT'] + '/health', timeout=2)"]
CMD ["python", "-m", "service"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="task-board" \
      org.opencontainers.image.description="The service that pgharness is tested with: a task board for small teams" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"

FROM base AS test-dependencies
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    --mount=type=bind,source=locks/test.txt,target=/tmp/test.txt \
    python -m venv --without-pip /opt/test \
 && python -m pip --python /opt/test/bin/python install --cache-dir /var/cache/pip --require-hashes -r /tmp/test.txt

FROM test-dependencies AS project
WORKDIR /project
COPY . .
# Editable, so that tracebacks and coverage name the project's own files.
RUN python -m pip --python /opt/test/bin/python install --no-deps --no-build-isolation -e .

FROM runtime AS test
COPY --from=project /opt/test /opt/test
COPY --from=project --chown=10001:10001 /project /project
WORKDIR /project
# The tests say for themselves what they set: here are the defaults again.
ENV PATH=/opt/test/bin:$PATH \
    HOME=/tmp \
    SERVICE_ENVIRONMENT=development \
    SERVICE_HOST=127.0.0.1 \
    SERVICE_DRAIN_SECONDS=0
HEALTHCHECK NONE
CMD ["python", "-m", "pytest", "-n", "auto", "--maxprocesses=4"]

# The last target is what a plain `docker build` makes.
FROM runtime
