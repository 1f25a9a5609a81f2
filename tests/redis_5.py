"""A server that is too old for the bus: prints its port on the loopback, and serves until ended."""

import socket
import sys

import birdisle


def main() -> None:
    server = birdisle.Server()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            server.add_connection(connection.detach())


if __name__ == "__main__":
    main()
