"""Fences between foreign code and the machine; which one depends on what the machine has."""

from agents.sandbox.fence.fence import Fence, FenceName
from agents.sandbox.fence.scene import Scene

__all__ = ["Fence", "FenceName", "Scene"]
