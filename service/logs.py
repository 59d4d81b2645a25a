"""Structured logs: one JSON object a line, each with the id of the request it belongs to."""

import logging
import sys
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from service.settings import ProcessSettings

ACCESS = "service.access"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered. Each request sets its own and nothing sets it back: the server
logs what a request raised after the app has returned."""

TALKATIVE = ("httpx", "httpcore", "sqlalchemy.engine")
"""Loggers that would tell addresses and values: never more than warnings, whatever the level."""


class JsonLines(JsonFormatter):
    """Time, level, logger, message, what the call gave as ``extra``, request and trace; never colours."""

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        if (of_request := request_id.get()) is not None:
            log_data["request_id"] = of_request
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            log_data["trace_id"] = trace.format_trace_id(context.trace_id)


def configure(settings: ProcessSettings) -> None:
    """Send the log of the whole process to standard error, and the lines of requests to standard output."""
    everything, access = logging.StreamHandler(sys.stderr), logging.StreamHandler(sys.stdout)
    for handler in (everything, access):
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=settings.log_level, handlers=[everything], force=True)
    logger = logging.getLogger(ACCESS)
    logger.handlers, logger.propagate = [access], False
    quieten()


def quieten() -> None:
    """Let the loggers that would tell secrets say nothing but warnings."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
