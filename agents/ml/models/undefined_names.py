"""Names that a file uses and nothing in it defines: found without running it.

What no check happens to run stays wrong until a training does: a forgotten import, a misspelt
variable in a branch. The compiler's own symbol table tells.
"""

import ast
import builtins
import symtable
from collections.abc import Iterator

_GIVEN = {*dir(builtins), "__file__", "__path__", "__builtins__", "__annotations__"}
_GIVEN_IN_CLASSES = {"__module__", "__qualname__"}


def undefined_names(source: str) -> dict[str, int]:
    """Return names that nothing defines, each with the line of its first use.

    A file that imports everything of another has none: they cannot be told.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source)
    if any(isinstance(node, ast.alias) and node.name == "*" for node in ast.walk(tree)):
        return {}
    scopes = list(_scopes(symtable.symtable(source, "<source>", "exec")))
    defined = _GIVEN | {
        symbol.get_name()
        for scope in scopes
        for symbol in scope.get_symbols()
        if (scope.get_type() == "module" or symbol.is_declared_global())
        and (symbol.is_assigned() or symbol.is_imported())
    }
    used = {
        symbol.get_name()
        for scope in scopes
        for symbol in scope.get_symbols()
        if symbol.is_referenced() and (_is_global(symbol) or scope.get_type() == "module")
        if scope.get_type() != "class" or symbol.get_name() not in _GIVEN_IN_CLASSES
    }
    lines: dict[str, int] = {}
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    for name in names:
        if isinstance(name.ctx, ast.Load) and name.id in used - defined:
            lines[name.id] = min(name.lineno, lines.get(name.id, name.lineno))
    return dict(sorted(lines.items(), key=lambda item: item[1]))


def _is_global(symbol: symtable.Symbol) -> bool:
    # The names of a function called "top" are all said to be global, too.
    return symbol.is_global() and not symbol.is_local()


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)
