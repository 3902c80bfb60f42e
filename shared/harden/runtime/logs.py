"""Structured logs: text on a terminal, one JSON object a line elsewhere, always on stderr."""

import logging
import sys

import structlog

from harden.config import LogSettings

# Chatty at the levels at which our own events are worth reading.
_LIBRARIES = ("kafka", "asyncio", "uvicorn", "httpx", "httpcore", "urllib3")


def start(settings: LogSettings, service: str) -> None:
    """From here on structlog and the standard library's loggers write the same lines, each naming the service."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    is_text = sys.stderr.isatty() if settings.format == "auto" else settings.format == "text"
    shared_steps: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _method, event: {"service": service, **event},
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if is_text else structlog.processors.JSONRenderer()
    )
    finish: list[structlog.types.Processor] = [renderer] if is_text else [structlog.processors.format_exc_info, renderer]
    structlog.configure(
        processors=[*shared_steps, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
