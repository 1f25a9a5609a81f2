"""What a process does that registers a tokenizer beside others; it imports no more than that."""

from typing import Any

from agents.ml.tokenizer.manager import train_job


def train_in_a_process(folder: str, root: str, name: str) -> None:
    config = {"type": "CharLevel", "data_files": ["corpus.txt"]}
    payload = {"registry": folder, "root": root, "tokenizer_name": name, "config": config}
    reports: list[dict[str, Any]] = []
    assert train_job(payload, reports.append)["status"] == "success"
    assert reports
