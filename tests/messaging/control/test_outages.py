"""What is said of an outage in the error about what did not come in time."""

from messaging.backend import SERVER_AWAY, SERVER_BACK, Incident
from messaging.control.outages import Outages

LONGER_THAN_ANY_MACHINE_RUNS_S = 1e9


def test_a_server_that_was_never_away_is_not_blamed_however_long_one_waited() -> None:
    assert not Outages().during(LONGER_THAN_ANY_MACHINE_RUNS_S)


def test_an_outage_that_is_over_is_told_of_to_those_who_waited_in_it() -> None:
    outages = Outages()
    outages.hear(Incident(SERVER_AWAY, "away"))
    assert "has been away" in outages.during(1.0)

    outages.hear(Incident(SERVER_BACK, "back"))

    assert "was away meanwhile" in outages.during(60.0)
