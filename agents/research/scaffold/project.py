"""Make a project's folder from the templates, whole or not at all."""

import posixpath
import re
from asyncio import to_thread
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable

from agents.research.errors import OutsideWorkspaceError, WorkRefusedError
from agents.research.jobs import Jobs
from agents.research.scaffold.messages import CreateProject, ProjectCreated
from agents.research.workspace.files import WorkspaceFiles

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)  # PEP 508
_PLACE = "{{project_name}}"
_DOTTED = {"gitignore": ".gitignore", "gitkeep": ".gitkeep"}  # here they would act on this folder


async def create_scaffold(jobs: Jobs, request: CreateProject) -> ProjectCreated:
    made = await to_thread(create_project, jobs.files, request.project_name, request.base_dir)
    folder = posixpath.normpath(posixpath.join(request.base_dir, request.project_name))
    return ProjectCreated(folder=folder, files=tuple(made))


def create_project(files: WorkspaceFiles, project_name: str, base_dir: str = ".") -> list[str]:
    """Write the project `base_dir`/`project_name`.

    A folder that is there must be empty, or hold this very project, which then stays.

    Returns:
        its files, sorted, as paths from the project's folder.

    Raises:
        WorkRefusedError: the name or `base_dir` is not valid, or the folder holds something
            else; nothing is written.
    """
    if not _NAME.fullmatch(project_name):
        raise WorkRefusedError(
            "ValueError",
            f"{project_name!r} cannot be the name of a project; give at most 100 letters, digits, "
            "'.', '_' and '-', the first and the last a letter or digit",
            where="project_name",
        )
    _make_base(files, base_dir)
    target = posixpath.join(base_dir, project_name)
    project = _rendered(project_name)
    if not _is_there(files, target, project):
        draft = posixpath.join(base_dir, f".{project_name}.draft")
        files.remove_folder(draft)
        try:
            for path, text in project.items():
                files.write(posixpath.join(draft, path), text)
            files.move(draft, target)
        finally:
            files.remove_folder(draft)
    return sorted(project)


def _make_base(files: WorkspaceFiles, base_dir: str) -> None:
    try:
        files.make_directory(base_dir)
    except OutsideWorkspaceError as error:
        raise OutsideWorkspaceError("base_dir", base_dir) from error
    except WorkRefusedError as error:
        text = f"base_dir: {str(error).removeprefix(f'{error.kind}: ')}"
        raise WorkRefusedError(error.kind, text, where="base_dir") from error


def _is_there(files: WorkspaceFiles, target: str, project: dict[str, str]) -> bool:
    """Whether the project was made before; False when there is no folder or an empty one."""
    found = files.list(target, recursive=True) if files.has_folder(target) else []
    if not found:
        return False
    if project.keys() <= set(found) and all(
        files.read(posixpath.join(target, path)) == text for path, text in project.items()
    ):
        return True
    raise WorkRefusedError(
        "FileExistsError",
        f"{target!r} holds {found[0]!r} already; give another name, or empty it first",
        where="project_name",
    )


def _rendered(project_name: str) -> dict[str, str]:
    """Each file's text by its path."""
    rendered: dict[str, str] = {}
    waiting: list[tuple[str, Traversable]] = [("", package_files(__package__) / "template")]
    while waiting:
        path, place = waiting.pop()
        if place.is_dir():
            children = (child for child in place.iterdir() if child.name != "__pycache__")
            waiting += [(posixpath.join(path, child.name), child) for child in children]
        else:
            folder, name = posixpath.split(path)
            kept = posixpath.join(folder, _DOTTED.get(name, name))
            rendered[kept] = place.read_text().replace(_PLACE, project_name)
    return rendered
