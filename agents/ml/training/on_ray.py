"""A job directory on Ray: `python -m agents.ml.training.on_ray JOB_DIR --processes 4`.

As under torchrun several processes train one model, here each as a task of Ray's with a CPU of its
own, and with `--gpus` a GPU. JOB_DIR is one folder that all machines of the cluster see. The
cluster is that of `--address` or RAY_ADDRESS; without one, a Ray of this machine alone is started
and ended again. Ray listens on all of the machine's addresses, and is guarded by its token.

What the processes print comes with Ray's prefixes, and the result is in JOB_DIR/job_result.json.
Exit codes are those of `python -m agents.ml.training`.
"""

import argparse
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.ml.errors import TeamError

_START_S = 60.0
_GRACE_S = 10.0  # for the others to notice by themselves that one of them has failed
_OBJECT_STORE_BYTES = 100 * 2**20  # nothing goes through it


def main(arguments: list[str]) -> int:
    """Run a job directory and return the exit code."""
    parser = argparse.ArgumentParser(prog="agents.ml.training.on_ray")
    parser.add_argument("job_dir", type=Path)
    parser.add_argument("--processes", type=int, default=1, help="that train one model")
    parser.add_argument("--gpus", action="store_true", help="give each process a GPU")
    parser.add_argument("--address", help="of the Ray cluster")
    given = parser.parse_args(arguments)
    if given.processes < 1:
        parser.error("--processes must be 1 at least")
    if not (given.job_dir / "job.json").is_file():
        parser.error(f"there is no {given.job_dir / 'job.json'}")
    try:
        with _ray(given.address or os.environ.get("RAY_ADDRESS"), given.processes) as ray:
            return _run(ray, given.job_dir.resolve(), given.processes, with_gpus=given.gpus)
    except TeamError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command
        return 1


@contextmanager
def _ray(address: str | None, processes: int) -> Iterator[Any]:
    try:
        import ray  # noqa: PLC0415  an extra
    except ImportError as error:
        raise TeamError("Ray is not installed; run: pip install 'guildbus[ray]'") from error
    if address is not None:
        ray.init(address=address)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # on a busy machine
        ray.init(
            address="local",
            num_cpus=processes,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
        )
    try:
        yield ray
    finally:
        ray.shutdown()


def _run(ray: Any, folder: Path, processes: int, *, with_gpus: bool) -> int:
    from ray.util.placement_group import placement_group  # noqa: PLC0415  an extra
    from ray.util.scheduling_strategies import (  # noqa: PLC0415  an extra
        PlacementGroupSchedulingStrategy,
    )

    needs = {"CPU": 1, **({"GPU": 1} if with_gpus else {})}
    places = placement_group([needs] * processes, strategy="PACK")
    if not places.wait(_START_S):
        there = ", ".join(f"{ray.cluster_resources().get(each, 0):g} {each}" for each in needs)
        raise TeamError(
            f"Ray has no room for {processes} processes with {' and '.join(needs)} each: it has "
            f"{there}, some of it may be taken"
        )

    def options(rank: int) -> dict[str, Any]:
        return {
            "num_cpus": 1,
            "num_gpus": int(with_gpus),
            "scheduling_strategy": PlacementGroupSchedulingStrategy(
                places, placement_group_bundle_index=rank
            ),
        }

    once = ray.remote(max_calls=1, max_retries=0)  # a process keeps to its team to its end
    address, port = ray.get(once(_meeting_place).options(**options(0)).remote())
    team = {"WORLD_SIZE": str(processes), "MASTER_ADDR": address, "MASTER_PORT": str(port)}
    tasks = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        task = once(_train).options(**options(rank), runtime_env={"env_vars": {**team, **own}})
        tasks.append(task.remote(str(folder)))
    return _joint_exit_code(ray, tasks)


def _joint_exit_code(ray: Any, tasks: list[Any]) -> int:
    """Wait for all; once one has failed, no longer than it takes the others to notice."""
    code, pending = 0, tasks
    while pending:
        ended, pending = ray.wait(pending, timeout=_GRACE_S if code else None)
        if not ended:
            for task in pending:
                ray.cancel(task, force=True)
            break
        try:
            code = code or ray.get(ended[0])
        except ray.exceptions.RayError as error:
            print(error, file=sys.stderr)  # noqa: T201  a command
            code = code or 1
    return code


def _meeting_place() -> tuple[str, int]:
    """Return where the processes meet: on the machine of the first."""
    import ray  # noqa: PLC0415  an extra

    address: str = ray.util.get_node_ip_address()
    with socket.socket() as taken:
        taken.bind((address, 0))
        return address, taken.getsockname()[1]


def _train(folder: str) -> int:
    # Here, because it reads its rank when it is imported.
    from agents.ml.training import __main__ as command  # noqa: PLC0415

    if not Path(folder, "job.json").is_file():
        print(f"{socket.gethostname()} sees no {folder}/job.json", file=sys.stderr)  # noqa: T201
        return 1
    return command.main([folder])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
