from pathlib import Path

import pytest

from agents.research.experiments import ExperimentStore
from agents.research.experiments.file_system import is_remote
from tests.research.experiments.samples import done, trial

MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 8:2 / /home/me/scratch rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/two\\040words rw shared:5 - cifs //server/share rw
33 22 8:3 / /over rw - nfs server:/x rw
34 22 8:4 / /over rw - ext4 /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("/srv/ws/experiments.db", False),
        ("/home/me/ws/experiments.db", True),
        ("/home/me/scratch/experiments.db", False),
        ("/homework/experiments.db", False),
        ("/mnt/two words/experiments.db", True),
        ("/over/experiments.db", False),
    ],
)
def test_the_mount_that_holds_a_path_decides(tmp_path: Path, path: str, remote: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    assert is_remote(Path(path), mounts) is remote
    assert not is_remote(Path(path), tmp_path / "nothing")


def test_a_store_that_machines_share_has_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "experiments.db"
    ExperimentStore(path).close()
    monkeypatch.setattr("agents.research.experiments.database.is_remote", lambda _: True)

    with ExperimentStore(path) as one, ExperimentStore(path) as other:
        done(one, trial(1), 0.5)
        done(other, trial(2), 0.6)

        assert len(one.trials()) == 2
        assert not path.with_name("experiments.db-wal").exists()
