"""What was ever stored decodes, to what it decoded to when it was stored."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from messaging.backend import DeadLetter
from messaging.handling.failure_record import reason_of
from messaging.wire.codec import decode_header, encode_header
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope
from tests.messaging.wire.golden_corpus import FOLDER, REGISTRY, SUMS, documents, file_of

FILES = sorted(FOLDER.glob("*.json"))
HOW_TO_ADD = "python -m tests.messaging.wire.golden_corpus"


def of(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_stored_decodes_to_what_it_was(path: Path) -> None:
    document = of(path)
    if "reason" in document:
        letter = DeadLetter(Envelope("", "", 1, "", b""), "g", document["reason"].encode(), 0.0)
        assert reason_of(letter).model_dump_json(exclude_unset=True) == document["reason"]
        return
    expected = document["decodes_to"]
    payload = document["payload"].encode()

    envelope = decode_header(bytes.fromhex(document["header"]), expected["topic"], payload)

    assert envelope._replace(payload=b"") == Envelope(**expected | {"payload": b""})
    assert Decoder(REGISTRY).read(envelope).model_dump(mode="json") == document["message"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_decodes_can_be_stored_again(path: Path) -> None:
    document = of(path)
    if "header" in document:
        header = bytes.fromhex(document["header"])
        envelope = decode_header(header, "orders", b"{}")

        assert decode_header(encode_header(envelope), "orders", b"{}") == envelope


def test_no_file_was_changed_or_removed() -> None:
    kept = dict(reversed(line.split("  ")) for line in SUMS.read_text().splitlines())

    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}

    assert kept == found, f"files are added by {HOW_TO_ADD}, and never changed or removed"


def test_every_case_has_a_file_and_is_still_written_like_that() -> None:
    for name, document in documents().items():
        assert file_of(name).exists(), f"{name} is new: run {HOW_TO_ADD}"
        assert of(file_of(name)) == document, f"{name} is written otherwise now: name a new case"
