"""Whether given values are valid for a schema without references."""

import json
import re
from functools import lru_cache
from typing import Any

import jsonschema

from agents.llm.structured.formats import STRING_FORMATS


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    return bool(_validator(json.dumps(schema)).is_valid(value))


def has_format(text: str, name: str) -> bool:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    if name in checker.checkers:
        return bool(checker.conforms(text, name))
    return name in STRING_FORMATS and bool(re.fullmatch(STRING_FORMATS[name], text, re.ASCII))


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads(schema))
