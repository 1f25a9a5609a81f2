"""What the package agent is asked and what it answers."""

from messaging.wire.message import Message


class InstallPackage(Message, wire_name="research.install_package"):
    """Install a package beside the torch that is installed, which stays as it is.

    Attributes:
        pytorch_version: what the asker takes for installed; the answer says what is.
        cuda_version: as `pytorch_version`; "cpu" for none.
    """

    package_name: str
    version: str | None = None
    pytorch_version: str = "2.1.0"
    cuda_version: str = "cu118"
    upgrade: bool = False


class PackageInstalled(Message, wire_name="research.package_installed"):
    """What pip did.

    Attributes:
        output: what it printed.
        added: versions by name of what is new or changed.
        imported: names that could be imported afterwards.
        problem: why an import failed, or "".
        torch: the version that is installed; None if there is none.
    """

    output: str
    added: dict[str, str]
    imported: tuple[str, ...]
    problem: str
    torch: str | None
    note: str = ""

    @property
    def text(self) -> str:
        """Pip's output, and what is to be known besides, in lines of their own."""
        lines = [self.output.rstrip()]
        lines += [f"[import {', '.join(self.imported)}: ok]"] if self.imported else []
        lines += [f"[the import failed: {self.problem}]"] if self.problem else []
        lines += [f"[{self.note}]"] if self.note else []
        return "\n".join(filter(None, lines)) + "\n"
