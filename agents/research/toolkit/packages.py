"""The tool that installs packages."""

from agents.research.packages.messages import InstallPackage
from agents.research.packages.tools import install_package
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked, plain


class PackageTools(Calls):
    """The installer of packages."""

    def pip_install_pytorch_package(
        self,
        package_name: str,
        version: str | None = None,
        pytorch_version: str = "2.1.0",
        cuda_version: str = "cu118",
        upgrade: bool = False,
    ) -> str:
        """Install a package that goes with the torch that is installed, which stays as it is.

        It goes into the workspace's own virtual environment, made if there is none, which
        `bash_run` and `python_run` use. Only wheels are installed: they run no code meanwhile.

        Returns:
            what pip printed, and in brackets what could be imported afterwards, and which torch is
            installed where another was named.

        Raises:
            WorkRefusedError: the toolkit was not made with `install_packages=True`; there is no
                such package or version; torch or its drivers would change.
        """
        request = asked(
            InstallPackage,
            package_name=package_name,
            version=version,
            pytorch_version=pytorch_version,
            cuda_version=cuda_version,
            upgrade=upgrade,
        )
        return self._loop.run(install_package(self._jobs, plain(request), self._audience)).text
