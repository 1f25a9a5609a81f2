"""The tool that makes new projects."""

from agents.research.scaffold.messages import CreateProject
from agents.research.scaffold.project import create_scaffold
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked


class ProjectTools(Calls):
    """The project scaffold."""

    def create_pytorch_project_scaffold(self, project_name: str, base_dir: str = ".") -> None:
        """Make a research project that trains, evaluates and tests from its first minute.

        Raises:
            WorkRefusedError: the name is not valid, or the folder is not empty; nothing is written.
        """
        request = asked(CreateProject, project_name=project_name, base_dir=base_dir)
        self._loop.run(create_scaffold(self._jobs, request))
