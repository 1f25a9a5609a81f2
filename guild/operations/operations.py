"""Every read and act of an operator, once: the command line, HTTP and the console use these."""

from guild.operations.acting import Acting
from guild.operations.letters import Letters
from guild.operations.passing import Passing
from guild.operations.reading import Reading
from guild.operations.talking import Talking


class Operations(Reading, Talking, Letters, Acting, Passing):
    """Operates the agents of one guild, wherever they run."""
