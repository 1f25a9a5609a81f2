"""URLs and slots mean what they mean to redis-py, which the bus does not import: it takes long."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url as parse_by_redis_py
from redis.crc import key_slot

from messaging.backends.redis.connection.cluster import slot_of
from messaging.backends.redis.connection.endpoint import parse_url

_WORDS = st.text(min_size=1, max_size=8).map(lambda text: quote(text, safe=""))
_MAYBE = st.just("") | _WORDS
_LOGINS = st.just("") | st.tuples(_MAYBE, _MAYBE).map(lambda login: ":".join(login) + "@")
_HOSTS = st.sampled_from(["", "localhost", "Db.Example", "[::1]", "10.0.0.1", "a%2fb"])
_PATHS = st.sampled_from(["", "/", "/0", "/12", "/x", "/%30"]) | _WORDS.map(lambda word: f"/{word}")
_QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["db", "protocol", "ssl_certfile", "ssl_cert_reqs"]),
        st.sampled_from(["", "0", "3", "x", "%2520", "none"]),
    ).map("=".join),
    max_size=3,
).map("&".join)


def outcome_of(parse: Any, url: str) -> Any:
    try:
        found = dict(parse(url))
    except ValueError:
        return "refused"
    return {name: value for name, value in found.items() if name != "connection_class"}


@given(st.sampled_from(["redis", "rediss", "unix"]), _LOGINS, _HOSTS, _PATHS, _QUERIES)
def test_a_url_is_read_as_redis_py_reads_it(
    scheme: str, login: str, host: str, path: str, query: str
) -> None:
    for port in ("", ":7000", ":x"):
        url = f"{scheme}://{login}{host}{port}{path}?{query}"
        assert outcome_of(parse_url, url) == outcome_of(parse_by_redis_py, url)


@pytest.mark.parametrize("url", ["amqp://host", "REDIS://host", "host", "redis:host", ""])
def test_what_is_no_such_url_is_refused(url: str) -> None:
    assert outcome_of(parse_url, url) == outcome_of(parse_by_redis_py, url) == "refused"


@given(st.binary(max_size=12) | st.text("{}ab", max_size=8).map(str.encode))
def test_a_key_has_the_slot_that_redis_py_says(key: bytes) -> None:
    assert slot_of(key) == key_slot(key)
