"""OpenTelemetry: off unless ``SERVICE_OTLP_ENDPOINT`` says where spans go. FastAPI itself makes the spans."""

import asyncio
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig

from service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVICE_NAME = "task-board"


class MissingPackagesError(Exception):
    """An endpoint is set, and what would send spans is not installed. ``str(error)`` is one sentence."""

    def __init__(self) -> None:
        super().__init__(
            "SERVICE_OTLP_ENDPOINT is set, and the OpenTelemetry SDK is not installed;"
            " install locks/telemetry.txt in place of locks/service.txt, or unset it"
        )


def tracer_provider(settings: Settings) -> "TracerProvider | None":
    """What exports spans to the endpoint of the settings; none where they name none.

    Raises:
        MissingPackagesError: The packages of the group ``telemetry`` are not installed.
    """
    if not settings.otlp_endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - optional
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingPackagesError from error
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE_NAME}))
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def telemetry(provider: "TracerProvider | None") -> TelemetryConfig:
    """FastAPI's own telemetry: a span for each request if there is a provider, and nothing else.

    Its logs would hold the text of exceptions, and its metrics are Prometheus's here.
    """
    return TelemetryConfig(
        tracer_provider=provider,
        tracing=provider is not None,
        operation_spans=False,
        metrics=False,
        logs=False,
        auto_configure=False,
    )


async def shut_down(provider: "TracerProvider | None") -> None:
    """Send the spans that wait to be sent."""
    if provider is not None:
        await asyncio.to_thread(provider.shutdown)
