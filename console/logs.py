"""Logs: one line an event, `time level event key=value …`, or JSON where LOG_FORMAT=json.

structlog and the standard library's loggers end in the same handler, on stderr. What the work at hand is known by
(`accounts/log_context.py`: request_id, job, attempt, decision, trace_id), what is bound with `structlog.contextvars`
and what is given as `extra` stands on the line as key=value.
"""

import json
import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from accounts import log_context
from console import environment as env

FIRST_KEYS = ("job", "attempt", "decision", "request_id")
QUIET = {
    # One line per message of a beat every second says nothing.
    "celery.app.trace": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "celery.beat": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    "httpx": logging.WARNING,
    "asyncio": logging.WARNING,
}
NOISE = ("color_message", "request", "status_code")  # what uvicorn and Django add for handlers of their own


def add_context(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """What the work at hand is known by, where the line itself doesn't say otherwise."""
    for key, value in log_context.current().items():
        event.setdefault(key, value)
    return event


def drop_noise(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    for key in NOISE:
        event.pop(key, None)
    return event


class Unexpected(logging.Filter):
    """Django logs every 4xx and 5xx answer; only those with a traceback say something new."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name != "django.request" or bool(record.exc_info)


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    add_context,
    drop_noise,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def for_machines() -> bool:
    """Whether lines are JSON."""
    return env.text("LOG_FORMAT", "text").lower() == "json"


def configure(stream: TextIO | None = None) -> None:
    """Set up both kinds of loggers from LOG_FORMAT and LOG_LEVEL, on stderr or a stream of the caller's.

    Called by each process at its start.
    """
    json_lines = for_machines()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            render_json if json_lines else render_text,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Unexpected())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(env.text("LOG_LEVEL", "INFO").upper())
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def render_text(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """`12:00:00.123 info    clip delivered  job=… steps=30`; a traceback follows on lines of its own."""
    time = str(event.pop("timestamp", ""))[11:23]
    level = str(event.pop("level", "info"))
    message = str(event.pop("event", ""))
    trace = event.pop("exception", None)
    first = [key for key in FIRST_KEYS if key in event]
    rest = [key for key in event if key not in FIRST_KEYS]
    pairs = " ".join(f"{key}={_value(event[key])}" for key in first + rest)
    line = f"{time} {level:<8}{message}" + (f"  {pairs}" if pairs else "")
    return f"{line}\n{trace}" if trace else line


def render_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """One JSON object; `process` says which process of the installation wrote it."""
    process = os.environ.get("BACKLOT_PROCESS")
    if process:
        event = {"process": process, **event}
    return json.dumps(event, default=str, ensure_ascii=False)


def _value(value: object) -> str:
    """As it is where that is unmistakable, quoted where it holds blanks or is empty."""
    text = str(value)
    if not text or any(character.isspace() or character in '"=' for character in text):
        return json.dumps(text, ensure_ascii=False)
    return text
