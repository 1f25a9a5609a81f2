"""What log lines of a handler say of its trace."""

from opentelemetry.trace import format_trace_id, get_current_span


class TraceIdName:
    """Reads as the id of the trace that is current when a line is written."""

    __slots__ = ()

    def __structlog__(self) -> str | None:
        """What JSON lines show."""
        context = get_current_span().get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else None

    def __repr__(self) -> str:
        return str(self.__structlog__())
