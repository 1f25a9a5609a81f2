"""Model classes out of Python files that were not vetted.

Importing a file runs it: call these in a job's child process (`agents.sandbox`), never in a
process that holds credentials or other people's work.
"""

import hashlib
import importlib.util
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from torch import nn

from agents.ml.errors import ModelScriptError


class _FreshLoader(SourceFileLoader):
    """Compiles what is in the file now: bytecode caches miss an edit within the same second."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  the loader protocol's
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def resolve_script(path: str | Path, workspace: Path | None = None) -> Path:
    """Return the file `path` names, relative to `workspace` and inside it when there is one.

    Raises:
        ModelScriptError: no such file, or it lies outside.
    """
    root = (workspace or Path.cwd()).resolve()
    file = (root / path).resolve()
    if workspace is not None and not file.is_relative_to(root):
        raise ModelScriptError("lies outside the workspace", where=str(path))
    if file.suffix != ".py":
        raise ModelScriptError("is not a .py file", where=str(path))
    if not file.is_file():
        raise ModelScriptError("there is no such file", where=str(path))
    return file


def module_name(file: Path) -> str:
    """Name a file's module by stem and path: two files may share a stem."""
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:10]
    stem = "".join(letter if letter.isalnum() else "_" for letter in file.stem)
    return f"script_{stem}_{digest}"


def load_module(file: Path, *, shown_as: str = "") -> ModuleType:
    """Import `file` afresh under a name of its own; it may import its siblings.

    Raises:
        ModelScriptError: it cannot be read or parsed, or raised; names the file and line.
    """
    where = shown_as or str(file)
    _let_it_import_its_siblings(file)
    name = module_name(file)
    loader = _FreshLoader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        raise ModelScriptError(f"line {error.lineno}: {error.msg}", where=where) from error
    except (Exception, SystemExit) as error:
        place = _line_in(file, error)
        raise ModelScriptError(
            f"{place}import raised {type(error).__name__}: {error}", where=where
        ) from error
    return module


def find_class(module: ModuleType, class_name: str, *, where: str) -> type[nn.Module]:
    """Return the nn.Module class `class_name` of a loaded file.

    Raises:
        ModelScriptError: there is none; lists those there are.
    """
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    defined = sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    )
    there_are = f"its nn.Module classes: {', '.join(defined)}" if defined else "it defines none"
    problem = "is not an nn.Module class" if found is not None else "is not there"
    if isinstance(found, nn.Module):
        problem = f"is a {type(found).__name__} object, not a class that builds one"
    raise ModelScriptError(f"{class_name} {problem}; {there_are}", where=where)


def load_model_class(
    path: str | Path, class_name: str, *, workspace: Path | None = None
) -> type[nn.Module]:
    """Import the file and return its model class.

    Raises:
        ModelScriptError: the file or the class is not there, or the import failed.
    """
    file = resolve_script(path, workspace)
    return find_class(load_module(file, shown_as=str(path)), class_name, where=str(path))


def build_model(
    path: str | Path, class_name: str, *, workspace: Path | None = None, **params: Any
) -> nn.Module:
    """Import the file and construct its model.

    Raises:
        ModelScriptError: as `load_model_class`, or the constructor raised.
    """
    model_class = load_model_class(path, class_name, workspace=workspace)
    try:
        return model_class(**params)
    except Exception as error:
        raise ModelScriptError(
            f"{class_name}({', '.join(params)}) raised {type(error).__name__}: {error}",
            where=str(path),
        ) from error


def _let_it_import_its_siblings(file: Path) -> None:
    # Last on the path, so that no file of the workspace can pose as a library.
    for folder in (str(file.parent), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)


def _line_in(file: Path, error: BaseException) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f"line {lines[-1]}: " if lines else ""
