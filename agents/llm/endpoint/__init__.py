"""Models for other people's clients: OpenAI's API over HTTP. Knows no bus.

Needs the extra `web`; answers of a given form need the extra `torch`, too.
"""

from agents.llm.endpoint.access import new_key
from agents.llm.endpoint.app import create_app
from agents.llm.endpoint.serving import serving

__all__ = ["create_app", "new_key", "serving"]
