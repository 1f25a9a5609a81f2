"""Wheels made on the spot, so that pip does its real work without a network."""

import zipfile
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, *, needs: tuple[str, ...] = (), code: str = ""
) -> None:
    """A wheel of one module, `name` with underscores, that holds `code`."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    entries = {
        f"{module}.py": code,
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", *metadata, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/top_level.txt": f"{module}\n",
    }
    record = "".join(f"{path},,\n" for path in [*entries, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in entries.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", record)
