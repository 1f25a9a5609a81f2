"""What the scaffold agent is asked and what it answers."""

from messaging.wire.message import Message


class CreateProject(Message, wire_name="research.create_project"):
    """Make a research project that trains, evaluates and tests; asking again changes nothing."""

    project_name: str
    base_dir: str = "."


class ProjectCreated(Message, wire_name="research.project_created"):
    """`files` are paths from `folder`, which is relative to the workspace."""

    folder: str
    files: tuple[str, ...]
