"""Asks llama.cpp's server in this process what its Python binding has no function for."""

import http.client
import json
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from agents.llm.engines.errors import EngineClosedError, LLMInferenceError

_MAX_ADDRESS_BYTES = 100  # a socket's path has 108 on Linux, 104 on macOS
_NAME = "llama.sock"


class LlamaSocket:
    """Where the server listens: a socket in a folder of this user's alone, behind a secret.

    The server always listens somewhere; this way it is no port, and no other user may ask.
    """

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="guildbus-")
        if len(folder) > _MAX_ADDRESS_BYTES - len(_NAME):
            shutil.rmtree(folder)
            folder = tempfile.mkdtemp(prefix="guildbus-", dir="/tmp")
        self._folder = folder
        self.path = str(Path(folder) / _NAME)
        self.secret = secrets.token_urlsafe(32)
        self._is_closing = False

    def ask(self, path: str, question: dict[str, Any]) -> Any:
        """The server's answer; called from any thread.

        Raises:
            EngineClosedError: it is being closed.
            LLMInferenceError: it answers with an error, or not at all.
        """
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        connection = _UnixConnection(self.path)
        try:
            connection.request("POST", path, json.dumps(question), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            if self._is_closing:
                raise EngineClosedError("the engine was closed meanwhile") from error
            raise LLMInferenceError(f"llama.cpp does not answer {path}: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            if self._is_closing:
                raise EngineClosedError("the engine was closed meanwhile")
            raise LLMInferenceError(f"llama.cpp refuses {path}: {_message(answer)}")
        return answer

    def will_close(self) -> None:
        """From now on the server may break any answer off."""
        self._is_closing = True

    def close(self) -> None:
        self._is_closing = True
        shutil.rmtree(self._folder, ignore_errors=True)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def _message(answer: Any) -> Any:
    error = answer.get("error") if isinstance(answer, dict) else None
    return error.get("message", error) if isinstance(error, dict) else answer
