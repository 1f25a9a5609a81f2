"""Python source of a model, put together from its finished lines."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

LINE_CHARS = 100

_LOADER_IMPORTS = (
    "import importlib.util",
    "import sys",
    "from pathlib import Path",
    "from types import ModuleType",
)
_LOADER = '''


def _load(name: str, path: str) -> ModuleType:
    """Import a file, found from this one's place, under a name that no other module has."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parent / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


'''


def module_source(
    class_name: str,
    *,
    summary: str,
    description: str,
    blocks: Mapping[str, str],
    init: Iterable[str],
    forward: Iterable[str],
) -> str:
    """Write the file.

    Args:
        class_name: of the nn.Module.
        summary: one line on shapes and size.
        description: the user's own words, "" for none.
        blocks: path by alias of the files custom blocks come from, relative to this one.
        init: statements after `super().__init__()`.
        forward: statements over `x`, without the `return`.
    """
    init, forward = list(init), _returning(list(forward))
    imports = _imports(blocks, " ".join([*init, *forward]))
    loads = [
        f"{alias} = _load({_literal(alias)}, {_literal(path)})" for alias, path in blocks.items()
    ]
    words = [f"    {line}".rstrip() for line in _docstring_lines(summary, description)]
    lines = [
        *(f"        {line}" for line in init),
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        *(f"        {line}" for line in forward),
    ]
    head = f'"""{class_name}, compiled from a model config. In shapes, B is the batch."""\n\n'
    body = "\n".join(
        [
            f"class {class_name}(nn.Module):",
            *words,
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *lines,
        ]
    )
    loader = _LOADER + "\n".join(loads) if blocks else ""
    return f"{head}{imports}{loader}\n\n\n{body}\n"


def call(function: str, params: Mapping[str, Any], *, prefix: str = "") -> str:
    """Write `prefix + function(name=value, ...)`, one argument a line where it is long."""
    arguments = [f"{name}={_literal(value)}" for name, value in params.items()]
    line = f"{prefix}{function}({', '.join(arguments)})"
    if len(line) + 8 <= LINE_CHARS:
        return line
    inner = "".join(f"            {argument},\n" for argument in arguments)
    return f"{prefix}{function}(\n{inner}        )"


def comment(text: str) -> str:
    """Make one safe line of comment of any text."""
    words = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in words)
    return f"# {printable[: LINE_CHARS - 12]}"


class Code(str):
    """A piece of source among parameters, to be written as it is."""

    __slots__ = ()


def _returning(forward: list[str]) -> list[str]:
    """End with a return; of the last value itself rather than of a name for it."""
    last = forward[-1]
    if last.startswith("x = "):
        return [*forward[:-1], f"return {last.removeprefix('x = ')}"]
    return [*forward, "return x"]


def _literal(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)  # a JSON text in ASCII is a Python one too
    return repr(value)


def _imports(blocks: Mapping[str, str], code: str) -> str:
    standard = "".join(f"{line}\n" for line in _LOADER_IMPORTS) + "\n" if blocks else ""
    torch = "import torch\n" if "torch." in code else ""
    return f"{standard}{torch}from torch import Tensor, nn"


def _docstring_lines(summary: str, description: str) -> list[str]:
    words = comment(description).removeprefix("# ") if description else ""
    safe = words.replace("\\", "/").replace('"', "'")
    if not safe:
        return [f'"""{summary}"""']
    return [f'"""{summary}', "", safe, '"""']
