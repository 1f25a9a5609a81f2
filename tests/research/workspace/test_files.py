"""Files of a workspace: what is read and written, what is refused, and that nothing gets out."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.research.errors import OutsideWorkspaceError, WorkRefusedError
from agents.research.workspace.files import WorkspaceFiles
from agents.sandbox.kernel import beneath

LIMIT = 1000
SECRET = "the host's secret"


def no_openat2(*_: object) -> int:
    beneath.ctypes.set_errno(errno.ENOSYS)
    return -1


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to open: by the kernel's own check, and a folder at a time where it lacks."""
    if request.param == "walk":
        monkeypatch.setattr(beneath._libc, "syscall", no_openat2)
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    (tmp_path / "ws2").mkdir()
    (tmp_path / "ws2" / "secret.txt").write_text(SECRET)
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


@pytest.fixture
def files(root: Path, way: str) -> WorkspaceFiles:
    return WorkspaceFiles(root, max_bytes=LIMIT)


@pytest.mark.parametrize(
    "content", ["", "a\r\nb\n", "50 %\r100 %\nb\r\n", "\ufeffbom", "äöü \N{SNOWMAN}\0", "no end"]
)
def test_what_was_written_is_read_as_it_was(files: WorkspaceFiles, content: str) -> None:
    files.write("src/models/net.py", content)

    assert files.read("src/models/net.py") == content


def test_writing_again_replaces_the_content_and_keeps_the_permissions(
    files: WorkspaceFiles, root: Path
) -> None:
    files.write("run.sh", "echo 1\n" * 9)
    (root / "run.sh").chmod(0o750)

    assert files.write("run.sh", "echo 2\n") == 7

    assert files.read("run.sh") == "echo 2\n"
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o750
    assert files.list() == ["run.sh"]


def test_appending_makes_the_file_and_adds_to_its_end(files: WorkspaceFiles) -> None:
    files.append("logs/run.log", "one\n")

    assert files.append("logs/run.log", "two\n") == 8

    assert files.read("logs/run.log") == "one\ntwo\n"


def test_what_several_append_at_once_is_all_there(root: Path) -> None:
    files = WorkspaceFiles(root)
    lines = [f"{number:04}\n" for number in range(400)]
    writers = [
        threading.Thread(target=lambda part=part: [files.append("log", line) for line in part])
        for part in (lines[::2], lines[1::2])
    ]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert sorted(files.read("log").splitlines(keepends=True)) == lines


def test_a_listing_is_sorted_and_relative(files: WorkspaceFiles) -> None:
    for path in ("b.txt", "a/c.txt", "a/b/d.txt", ".hidden"):
        files.write(path, "")

    assert files.list() == [".hidden", "a", "b.txt"]
    assert files.list("a") == ["b", "c.txt"]
    assert files.list(".", recursive=True) == [
        ".hidden", "a", "a/b", "a/b/d.txt", "a/c.txt", "b.txt",
    ]  # fmt: skip


def test_a_listing_names_links_and_does_not_follow_them(files: WorkspaceFiles, root: Path) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    (root / "self").symlink_to(".")

    assert files.list(".", recursive=True) == ["out", "self"]


def test_a_name_that_is_no_text_is_shown_with_its_bytes(files: WorkspaceFiles, root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).touch()

    assert files.list() == ["caf\\xe9"]


@pytest.mark.parametrize("act", ["read", "write", "append"])
def test_what_ends_in_a_slash_is_no_file(files: WorkspaceFiles, act: str) -> None:
    files.write("notes.txt", "mine")
    for path in ("notes.txt/", "new/", "new//"):
        with pytest.raises(WorkRefusedError, match="as only the name of a folder does"):
            getattr(files, act)(*((path,) if act == "read" else (path, "text")))

    assert files.list() == ["notes.txt"]
    assert files.read("notes.txt") == "mine"


@pytest.mark.parametrize("path", ["~", "~/notes.txt", "~/new/notes.txt"])
@pytest.mark.parametrize("act", ["read", "write", "append", "list", "make_directory"])
def test_a_home_is_outside_and_no_folder_of_that_name(
    files: WorkspaceFiles, root: Path, act: str, path: str
) -> None:
    with pytest.raises(OutsideWorkspaceError):
        getattr(files, act)(*((path, "text") if act in ("write", "append") else (path,)))

    assert list(root.iterdir()) == []


def test_a_folder_that_bash_called_so_is_read_and_listed(files: WorkspaceFiles, root: Path) -> None:
    (root / "~").mkdir()
    (root / "~" / "a.txt").write_text("a")
    (root / "~backup").touch()

    assert files.list(recursive=True) == ["~", "~/a.txt", "~backup"]
    assert files.read("./~/a.txt") == "a"
    assert files.read("~backup") == ""


def test_making_a_folder_twice_is_no_error(files: WorkspaceFiles, root: Path) -> None:
    files.make_directory("experiments/my_new_run")
    files.make_directory("experiments/my_new_run")

    assert (root / "experiments" / "my_new_run").is_dir()


def test_a_path_from_the_root_may_be_one_of_the_workspace(
    files: WorkspaceFiles, root: Path
) -> None:
    files.write(str(root / "a.txt"), "inside")

    assert files.read("x/../a.txt") == "inside"


ACTS: dict[str, Callable[[WorkspaceFiles, str], object]] = {
    "read": lambda files, path: files.read(path),
    "read_bytes": lambda files, path: files.read_bytes(path),
    "link to": lambda files, path: files.link("served", path),
    "write": lambda files, path: files.write(path, "x"),
    "append": lambda files, path: files.append(path, "x"),
    "list": lambda files, path: files.list(path),
    "make_directory": lambda files, path: files.make_directory(path),
}
OUTSIDE = [
    "../outside/secret.txt", "..", "a/../../ws2/secret.txt", "/etc/passwd", "link/secret.txt",
    "link", "file_link", "up/outside/secret.txt", str(Path("/proc/self/root", "etc", "passwd")),
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("act", ACTS)
def test_nothing_leads_out(files: WorkspaceFiles, root: Path, act: str, path: str) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    (root / "file_link").symlink_to(root.parent / "outside" / "secret.txt")
    (root / "up").symlink_to("..")
    before = everything(root.parent / "outside"), everything(root.parent / "ws2")

    with pytest.raises(WorkRefusedError):
        ACTS[act](files, path)

    assert (everything(root.parent / "outside"), everything(root.parent / "ws2")) == before


@pytest.mark.parametrize("path", ["../outside/x", "link/x", "up/outside/x", "/tmp/x", ".."])
def test_no_link_is_made_outside(files: WorkspaceFiles, root: Path, path: str) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    (root / "up").symlink_to("..")
    files.make_directory("model")

    with pytest.raises(WorkRefusedError):
        files.link(path, "model")

    assert everything(root.parent / "outside") == [("secret.txt", SECRET)]


@pytest.mark.parametrize("path", ["served", "a/b/served"])
def test_a_link_leads_to_its_folder_and_then_to_another(
    files: WorkspaceFiles, root: Path, path: str
) -> None:
    for name in ("first", "second"):
        files.write(f"models/{name}/name.txt", name)

        files.link(path, f"models/{name}")

        assert (root / path / "name.txt").read_text() == name
    assert not [name for name in files.list(".", recursive=True) if name.endswith(".draft")]


@pytest.mark.parametrize("taken", ["file", "folder", "pipe"])
def test_a_link_replaces_nothing_but_a_link(files: WorkspaceFiles, root: Path, taken: str) -> None:
    files.make_directory("folder")
    files.write("file", "x")
    os.mkfifo(root / "pipe")

    with pytest.raises(WorkRefusedError, match="only a link is replaced"):
        files.link(taken, "folder")

    assert files.list() == ["file", "folder", "pipe"]


@pytest.mark.parametrize(
    ("path", "is_file", "is_folder"),
    [
        ("file", True, False), ("folder", False, True), ("pipe", False, False),
        ("missing", False, False), ("out", False, False), ("out/secret.txt", False, False),
        ("..", False, False), ("loop", False, False), ("nul\0", False, False),
    ],
)  # fmt: skip
def test_only_what_is_there_is_there(
    files: WorkspaceFiles, root: Path, path: str, is_file: bool, is_folder: bool
) -> None:
    files.make_directory("folder")
    files.write("file", "x")
    os.mkfifo(root / "pipe")
    (root / "out").symlink_to(root.parent / "outside")
    (root / "loop").symlink_to("loop")

    assert (files.has_file(path), files.has_folder(path)) == (is_file, is_folder)


WITHHELD = [
    ".guildbus",
    ".guildbus/scores/answers.json",
    "x/../.guildbus/new",
    "own/answers.json",
    "own",
]


@pytest.mark.parametrize("path", WITHHELD)
@pytest.mark.parametrize("act", ACTS)
def test_nothing_leads_to_what_the_guild_keeps_for_itself(
    files: WorkspaceFiles, root: Path, act: str, path: str
) -> None:
    scores = root / ".guildbus" / "scores"
    scores.mkdir(parents=True)
    (scores / "answers.json").write_text(SECRET)
    (root / "own").symlink_to(".guildbus/scores")

    with pytest.raises(WorkRefusedError):
        ACTS[act](files, path)

    assert everything(scores) == [("answers.json", SECRET)]
    assert os.listdir(root / ".guildbus") == ["scores"]  # noqa: PTH208
    assert not (root / "served").is_symlink()
    assert not files.has_file(path)


def test_a_listing_tells_nothing_of_it(files: WorkspaceFiles, root: Path) -> None:
    (root / ".guildbus" / "scores").mkdir(parents=True)
    files.write("src/.guildbus/net.py", "")

    assert files.list(".", recursive=True) == [
        ".guildbus",
        "src",
        "src/.guildbus",
        "src/.guildbus/net.py",
    ]


@pytest.mark.parametrize("act", ["write", "append", "make_directory"])
def test_nothing_takes_its_place(files: WorkspaceFiles, act: str) -> None:
    with pytest.raises(WorkRefusedError, match="belongs to the guild itself"):
        ACTS[act](files, ".guildbus")

    assert files.list() == []


@pytest.mark.parametrize(("source", "target"), [(".guildbus", "mine"), ("mine", ".guildbus/mine")])
def test_nothing_moves_it(files: WorkspaceFiles, root: Path, source: str, target: str) -> None:
    (root / ".guildbus").mkdir()
    (root / "mine").mkdir()

    with pytest.raises(WorkRefusedError, match="belongs to the guild itself"):
        files.move(source, target)

    assert files.list(".", recursive=True) == [".guildbus", "mine"]


@pytest.mark.parametrize("act", ["write", "append"])
@pytest.mark.parametrize("target", [".guildbus/new", "../outside/new", "new"])
def test_nothing_is_made_through_a_link_to_what_is_not_there(
    files: WorkspaceFiles, root: Path, act: str, target: str
) -> None:
    (root / ".guildbus").mkdir()
    (root / "link").symlink_to(target)

    with pytest.raises(WorkRefusedError):
        ACTS[act](files, "link")

    assert not (root / target).exists()


def test_the_guild_itself_finds_it(files: WorkspaceFiles) -> None:
    own = files.with_the_guilds_own()

    own.write(".guildbus/answers/a.json", "{}")

    assert own.read(".guildbus/answers/a.json") == "{}"


def test_a_prefix_of_the_name_is_not_the_workspace(files: WorkspaceFiles, root: Path) -> None:
    with pytest.raises(OutsideWorkspaceError):
        files.read(f"{root}2/secret.txt")


@pytest.mark.parametrize("attempt", range(3))
def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(
    files: WorkspaceFiles, root: Path, attempt: int
) -> None:
    (root / "inner").mkdir()
    (root / "inner" / "secret.txt").write_text("harmless")
    (root / "trap").symlink_to(root.parent / "outside")
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            (root / "inner").rename(root / "kept")
            (root / "trap").rename(root / "inner")
            (root / "inner").rename(root / "trap")
            (root / "kept").rename(root / "inner")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        seen = set(read_often(files, 400))
    finally:
        is_over.set()
        swapper.join()

    assert seen <= {"harmless", "OutsideWorkspaceError", "WorkRefusedError"}


def read_often(files: WorkspaceFiles, times: int) -> Iterator[str]:
    for _ in range(times):
        try:
            yield files.read("inner/secret.txt")
        except WorkRefusedError as error:
            yield type(error).__name__


REFUSED = [
    ("read", "missing.txt", "does not exist in the workspace"),
    ("read", "folder", "is a folder"),
    ("read", "picture.png", r"no UTF-8 text \(byte 0x89 at 0\)"),
    ("read", "large.txt", "over the limit of 1,000 bytes; read a part"),
    ("read", "pipe", "no regular file"),
    ("read_bytes", "pipe", "no regular file"),
    ("read_bytes", "large.txt", "over the limit"),
    ("link to", "file", "no folder of the workspace"),
    ("write", "folder", "is a folder"),
    ("write", "pipe", "no regular file"),
    ("write", "file/below.txt", "lies below a file"),
    ("write", "inner_link", "is a link; write to the file that it leads to"),
    ("write", "n" * 300, "name too long"),
    ("write", "nul\0", "is no path"),
    ("read", "file\0.txt", "is no path"),
    ("list", "folder\0.txt", "is no path"),
    ("append", "pipe", "no regular file"),
    ("append", "large.txt", "over the limit"),
    ("list", "missing", "does not exist"),
    ("list", "file", "lies below a file"),
    ("make_directory", "file", "lies below a file"),
]


@pytest.mark.parametrize(("act", "path", "says"), REFUSED)
def test_what_cannot_be_done_is_said_with_its_path(
    files: WorkspaceFiles, root: Path, act: str, path: str, says: str
) -> None:
    (root / "folder").mkdir()
    (root / "file").write_text("x")
    (root / "picture.png").write_bytes(b"\x89PNG\r\n")
    (root / "large.txt").write_text("x" * (LIMIT + 1))
    (root / "inner_link").symlink_to("file")
    os.mkfifo(root / "pipe")

    with pytest.raises(WorkRefusedError, match=f"(?i){says}") as caught:
        ACTS[act](files, path)

    assert repr(path) in str(caught.value)


def test_content_that_is_no_text_is_refused(files: WorkspaceFiles) -> None:
    with pytest.raises(WorkRefusedError, match="no character") as caught:
        files.write("a.txt", "half \ud800")

    assert caught.value.where == "content"
    assert files.list() == []


@pytest.mark.parametrize("act", ["write", "append"])
def test_a_full_disk_leaves_the_file_as_it_was(
    files: WorkspaceFiles, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write("log", "before")
    monkeypatch.setattr(beneath.os, "fsync", full)
    monkeypatch.setattr(beneath.os, "write", half_then_full())

    with pytest.raises(WorkRefusedError, match="it is as it was before"):
        ACTS[act](files, "log")
    monkeypatch.undo()

    assert files.read("log") == "before"
    assert files.list() == ["log"]


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_then_full() -> Callable[[int, memoryview], int]:
    write, calls = os.write, []

    def once(fd: int, data: memoryview) -> int:
        if calls:
            return full()
        calls.append(fd)
        write(fd, b"half")
        return 0

    return once


def everything(folder: Path) -> list[tuple[str, str]]:
    return sorted((path.name, path.read_text()) for path in folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders for others")
def test_a_folder_belongs_to_whom_the_folder_it_is_in_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, 4322)

    WorkspaceFiles(tmp_path).make_directory("one/two")

    for name in ("one", "one/two"):
        made = (tmp_path / name).stat()
        assert (made.st_uid, made.st_gid) == (4321, 4322)
