"""Who in `agents.research` touches files: `workspace/`, and what is listed here with its reason.

The guild's own code, which no fence holds, must reach a workspace by `WorkspaceFiles` only. No test
can see which paths come from there, so every call that touches files counts, and besides every
`workspace / …`, which others may be given to open.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import agents.research

ROOT = Path(agents.research.__file__).parent
ELSEWHERE = ("workspace/", "scaffold/template/")  # the one place; and a user's own code

METHODS = {
    "chmod", "exists", "glob", "hardlink_to", "is_dir", "is_fifo", "is_file", "is_symlink",
    "iterdir", "lchmod", "lstat", "mkdir", "open", "read_bytes", "read_text", "readlink", "rename",
    "rglob", "rmdir", "stat", "symlink_to", "touch", "unlink", "write_bytes", "write_text",
}  # fmt: skip
FUNCTIONS = METHODS | {
    "copy", "copy2", "copyfile", "copytree", "link", "listdir", "makedirs", "mkfifo", "mknod",
    "move", "remove", "removedirs", "renames", "replace", "rmtree", "scandir", "symlink",
    "truncate", "utime", "walk",
}  # fmt: skip
OURS = {"WorkspaceFiles", "files", "_files"}  # by the names that it has everywhere
Does = Callable[[ast.AST], bool]

JOB = "runs in a child, where the fence holds it"
PACKAGE = "reads a file of this package"
KERNEL = "reads what the kernel tells"
STATE = "the guild's own state, which no job sees"
NAME = "makes a name only, which the fence or WorkspaceFiles opens"
USERS = "looks at what the user has named, as the user, before anything is started"
TOUCH = {
    "experiments/command/maintaining.py:open_report": "starts a browser",
    "experiments/command/opening.py:_copy": STATE,
    "experiments/command/opening.py:has_store": STATE,
    "experiments/database.py:Database.__init__": STATE,
    "experiments/database.py:Database._identity": STATE,
    "experiments/file_system.py:is_remote": KERNEL,
    "experiments/measured.py:_Noting._note": STATE,
    "experiments/measured.py:_left_behind": STATE,
    "experiments/measured.py:forget_measured": STATE,
    "experiments/measured.py:read_measured": STATE,
    "experiments/pruning.py:_size": "asks for sizes, follows no link below the folder",
    "experiments/worker.py:_place": KERNEL,
    "experiments/worker.py:_start_of": KERNEL,
    "exchange.py:_clear": STATE,
    "exchange.py:_remove": "removes what jobs that have ended left; follows no link",
    "exchange.py:exchange_folder": STATE,
    "exchange.py:sweep": STATE,
    "optimizers/jobs.py:read_request": JOB,
    "packages/jobs.py:_show_guild_packages": JOB,
    "packages/pip.py:Environment.would_install": JOB,
    "report/drawing.py:drawing_style": PACKAGE,
    "report/files.py:write_document": "makes a folder where no job writes",
    "report/html.py:to_html": PACKAGE,
    "report/machine.py:_processor": KERNEL,
    "researcher/asking.py:_columns_of": USERS,
    "researcher/asking.py:_content_of": USERS,
    "researcher/asking.py:_dataset": USERS,
    "researcher/trials.py:_read_result": STATE,
    "researcher/trials.py:_take_away": "renames what a job that has ended left; follows no link",
    "researcher/trials.py:_write_result": STATE,
    "researcher/work_clock.py:_read": STATE,
    "researcher/work_clock.py:_write": STATE,
    "scaffold/project.py:_rendered": PACKAGE,
    "text_jobs.py:_sources": JOB,
    "text_jobs.py:collect_corpus": JOB,
    "training_jobs.py:register_optimizer": JOB,
    "web/files.py:_read_from": "opens plain files below the workspace, and nothing else",
    "web/files.py:_records": STATE,
    "writing/kept.py:_files_of": "asks for sizes and times of the language model that is used",
    "writing/prompts.py:_template": PACKAGE,
}
NAME_A_PLACE = {
    "experiments/pruning.py:_folder": NAME,
    "experiments/store.py:store_path": STATE,
    "exchange.py:exchange_folder": STATE,
    "exchange.py:sweep": STATE,
    "job_properties.py:JobsProps.view": NAME,
    "jobs.py:Jobs._absolute": NAME,
    "jobs.py:Jobs.inside": NAME,
    "reporter.py:write_report": NAME,
    "researcher/reporting.py:write_study_report": NAME,
    "researcher/trials.py:_absolute": NAME,
    "researcher/trials.py:_identity": STATE,
    "researcher/trials.py:fit_baseline": STATE,
    "researcher/trials.py:run_trial": STATE,
    "researcher/work_clock.py:WorkClock._taken_up": STATE,
}


def where(does: Does, source: str) -> Iterator[str]:
    """The names of the functions and methods that do it, "" outside of them."""
    for name, statement in _parts(ast.parse(source)):
        if any(map(does, ast.walk(statement))):
            yield name


def _parts(of: ast.Module | ast.ClassDef, above: str = "") -> Iterator[tuple[str, ast.stmt]]:
    for statement in of.body:
        match statement:
            case ast.ClassDef():
                yield from _parts(statement, f"{above}{statement.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield f"{above}{statement.name}", statement
            case _:
                yield above, statement


def touches(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="open" | "atomic_file" | "write_text_atomically")):
            return True
        case ast.Call(func=ast.Attribute(attr="replace"), args=[_], keywords=[]):
            return True  # that of a path; that of a text has two arguments
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os" | "shutil"), attr=name)):
            return name in FUNCTIONS
        case ast.Call(func=ast.Attribute(value=owner, attr=name)):
            return name in METHODS and not _is_ours(owner)
    return False


def _is_ours(owner: ast.expr) -> bool:
    match owner:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            return name in OURS
    return False


def names_a_place(node: ast.AST) -> bool:
    match node:
        case (
            ast.BinOp(op=ast.Div(), left=ast.Name(id=name) | ast.Attribute(attr=name))
            | ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id=name) | ast.Attribute(attr=name), attr="joinpath"
                )
            )
        ):
            return name.lstrip("_") == "workspace"
    return False


def everywhere(does: Does) -> set[str]:
    return {
        f"{module}:{name}"
        for path in ROOT.rglob("*.py")
        if not (module := path.relative_to(ROOT).as_posix()).startswith(ELSEWHERE)
        for name in where(does, path.read_text("utf-8"))
    }


listed = pytest.mark.parametrize(
    ("does", "allowed"), [(touches, TOUCH), (names_a_place, NAME_A_PLACE)]
)


@listed
def test_nobody_touches_files_but_who_may(does: Does, allowed: dict[str, str]) -> None:
    unknown = sorted(everywhere(does) - allowed.keys())

    assert not unknown, "use WorkspaceFiles there, or list why nothing can be planted there"


@listed
def test_nobody_is_listed_who_does_not(does: Does, allowed: dict[str, str]) -> None:
    assert sorted(allowed.keys() - everywhere(does)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "(jobs.workspace / path).read_text()", "path.read_bytes()", "path.write_text('x', 'utf-8')",
        "open(path)", "path.open('wb')", "os.open(path, os.O_RDONLY)", "draft.replace(path)",
        "link.symlink_to(folder)", "os.symlink(folder, link)", "path.unlink(missing_ok=True)",
        "shutil.rmtree(folder)", "json.loads(path.read_text())",
        "path.with_name('x').rename(path)", "os.rename(draft, path)", "shutil.copy(one, other)",
        "folder.mkdir(parents=True)", "write_text_atomically(path, text)",
        "with atomic_file(path) as file: pass",
        "with path.open() as file: pass", "[each.read_text() for each in folder.iterdir()]",
    ],
)  # fmt: skip
def test_it_is_seen_who_touches_files(statement: str) -> None:
    source = (
        f"class A:\n    def one(self):\n        pass\n\n    def two(self):\n        {statement}\n"
    )

    assert list(where(touches, source)) == ["A.two"]


@pytest.mark.parametrize(
    "expression",
    ["Answers.read(workspace / vault)", "self._workspace / 'a'", "jobs.workspace.joinpath('a')"],
)
def test_it_is_seen_who_names_a_place_in_the_workspace(expression: str) -> None:
    assert list(where(names_a_place, f"def one():\n    return {expression}\n")) == ["one"]


@pytest.mark.parametrize(
    "statement",
    [
        "jobs.files.read(path)", "self._files.write(path, text)", "text.replace('a', 'b')",
        "WorkspaceFiles(workspace).read_bytes(path)", "a / b", "config.copy()",
        "dataclasses.replace(trial, note='x')",
    ],
)  # fmt: skip
def test_what_touches_no_files_is_left_alone(statement: str) -> None:
    source = f"def one():\n    {statement}\n"

    assert [*where(touches, source), *where(names_a_place, source)] == []
