"""A bank for trying the shop: `python -m shop.bank PORT FOLDER`. Like a real one it fails now and
then, before it charges or after, and charges once under one key. FOLDER keeps a file a charge.
"""

import hashlib
import json
import random
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAILS_BEFORE, FAILS_AFTER = 0.2, 0.1
KNOWN_CARDS = ("4242", "0002")
DECLINED_CARD = "0002"


class Teller(BaseHTTPRequestHandler):
    folder: Path
    chance = random.Random(7)  # for bad luck, not for secrets

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.chance.random() < FAILS_BEFORE:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "come back later")
        elif asked["card"] not in KNOWN_CARDS:
            self._answer(HTTPStatus.NOT_FOUND, f"there is no card {asked['card']!r}")
        elif asked["card"] == DECLINED_CARD:
            self._answer(HTTPStatus.PAYMENT_REQUIRED, "the card was declined")
        else:
            charge_id = self._charge(self.headers["Idempotency-Key"], asked["amount_cents"])
            if self.chance.random() < FAILS_AFTER:
                self.close_connection = True  # it has charged, and its answer gets lost
            else:
                self._answer(HTTPStatus.OK, json.dumps({"charge_id": charge_id}))

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""

    def _charge(self, key: str, amount_cents: int) -> str:
        charge_id = hashlib.sha256(key.encode()).hexdigest()[:16]
        (self.folder / f"{charge_id}.json").write_text(json.dumps({"amount_cents": amount_cents}))
        return charge_id

    def _answer(self, status: HTTPStatus, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def serve(port: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Teller.folder = folder
    ThreadingHTTPServer(("127.0.0.1", port), Teller).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
