"""What the exit status of `guildbus` says."""

from guild import errors as guild_errors
from messaging import errors as bus_errors

OK = 0
FAILED = 1  # also a request that was answered by an error
USAGE = 2
INVALID = 3  # a spec or a message
MISSING_EXTRA = 4
NO_SERVER = 5
TIMEOUT = 6
INTERRUPTED = 130  # by SIGINT
TERMINATED = 143  # by SIGTERM


class UsageError(guild_errors.GuildError):
    """The words of the command line are well-formed, but do not go together."""


def exit_code_of(error: BaseException) -> int:
    """The status that `error` ends the process with."""
    by_class: tuple[tuple[type[BaseException], int], ...] = (
        (guild_errors.MissingExtraError, MISSING_EXTRA),
        (UsageError, USAGE),
        (guild_errors.NoSuchMessageError, INVALID),
        (guild_errors.UnknownAgentError, USAGE),
        (guild_errors.SettingsError, USAGE),
        (guild_errors.SpecError, INVALID),
        (guild_errors.UnresolvedReferenceError, INVALID),
        (bus_errors.WireError, INVALID),
        (bus_errors.TopicError, INVALID),
        (bus_errors.BackendUnavailableError, NO_SERVER),
        (bus_errors.BackendSetupError, NO_SERVER),
        (bus_errors.RequestTimeoutError, TIMEOUT),
    )
    return next((code for kind, code in by_class if isinstance(error, kind)), FAILED)
