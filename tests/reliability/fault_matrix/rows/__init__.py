"""The rows of the fault matrix, by what the fault happens to."""

from tests.reliability.fault_matrix.rows.load import LOAD
from tests.reliability.fault_matrix.rows.messages import MESSAGES
from tests.reliability.fault_matrix.rows.network import NETWORK
from tests.reliability.fault_matrix.rows.process import PROCESS
from tests.reliability.fault_matrix.rows.redis import REDIS
from tests.reliability.fault_matrix.rows.row import Row
from tests.reliability.fault_matrix.rows.shutdown import SHUTDOWN
from tests.reliability.fault_matrix.rows.time import TIME

__all__ = ["MATRIX", "Row"]

MATRIX: dict[str, tuple[Row, ...]] = {
    "process": PROCESS,
    "Redis": REDIS,
    "network": NETWORK,
    "messages": MESSAGES,
    "load": LOAD,
    "shutdown": SHUTDOWN,
    "time": TIME,
}
