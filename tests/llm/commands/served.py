"""`guildbus serve` in a process of its own."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cli.conftest import ROOT, started

_PROPERTIES = {"model": "script", "backend": "scripted", "options": {"replies": ["hello"] * 50}}
SCRIPTED = f"""
id: served
agents:
  - id: say
    type: llm.chat
    properties: {json.dumps(_PROPERTIES)}
"""


def serving(
    spec: Path, *words: str, environ: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[str], str]:
    """The process and its URL."""
    environ = os.environ | (environ or {})
    process = started("serve", spec, "--port", "0", *words, cwd=ROOT, env=environ)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, process.communicate()
    return process, url
