"""Why something that began like a tool call was none; inside the parser only."""


class NotACallError(Exception):
    """It was mere text that looked like the beginning of a call."""


class IsDataError(NotACallError):
    """It is an object with another first name than a call has; that name is about to come."""


class BrokenCallError(Exception):
    """It was meant as a call and cannot be read; the message says why."""
