"""What can be seen of a generated file before it runs."""

import ast

from agents.ml.errors import ModelScriptError
from agents.ml.models.undefined_names import undefined_names

MAX_SOURCE_BYTES = 256 * 1024


def parse_source(source: str, class_name: str, where: str) -> ast.ClassDef:
    """Return the class that the file is there for.

    Raises:
        ModelScriptError: it is too long or no Python, uses names that nothing defines, or has no
            such class.
    """
    if len(source.encode(errors="surrogatepass")) > MAX_SOURCE_BYTES:
        raise ModelScriptError(f"is longer than {MAX_SOURCE_BYTES:,} bytes", where=where)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ModelScriptError(f"line {error.lineno}: {error.msg}", where=where) from error
    except (ValueError, RecursionError, MemoryError, SystemError) as error:
        raise ModelScriptError(f"cannot be parsed: {error}", where=where) from error
    for name, line in undefined_names(source).items():
        text = f"line {line}: {name!r} is not defined; import or define it"
        raise ModelScriptError(text, where=where)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if class_name not in classes:
        there_are = f"it defines {', '.join(classes)}" if classes else "it defines none"
        raise ModelScriptError(f"has no class {class_name}; {there_are}", where=where)
    return classes[class_name]
