"""What a docstring tells about a function and its arguments."""

import re

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns?|Raises|Yields?|Examples?|Notes?):\s*")
_ARGUMENTS = ("Args", "Arguments", "Parameters")
_ARGUMENT = re.compile(r"(\s+)\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description before the first section, and what is said of each argument."""
    description: list[str] = []
    arguments: dict[str, str] = {}
    section, last, indent = "", "", ""
    for line in text.splitlines():
        if heading := _SECTION.fullmatch(line):
            section, last, indent = heading[1], "", ""
        elif not section:
            description.append(line)
        elif section in _ARGUMENTS:
            match = _ARGUMENT.fullmatch(line)
            if match and (not indent or match[1] == indent):
                indent, last = match[1], match[2]
                arguments[last] = match[3].strip()
            elif last and line.strip():
                arguments[last] = f"{arguments[last]} {line.strip()}".strip()
    return "\n".join(description).strip(), arguments
