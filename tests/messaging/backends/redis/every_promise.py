"""What every backend promises, as tests to be repeated on other sites: see `site` there."""

from tests.messaging.backends.test_backend_conformance_commit import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_dead_letters import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_delays import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_delivery import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_journal import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_large import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_leading import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_limits import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_observers import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_partitions import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_positions import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_state import *  # noqa: F403 - all tests of it
from tests.messaging.backends.test_backend_conformance_takeover import *  # noqa: F403 - all tests of it
from tests.messaging.client.test_request import *  # noqa: F403 - all tests of it
from tests.messaging.control.test_pausing import *  # noqa: F403 - all tests of it
