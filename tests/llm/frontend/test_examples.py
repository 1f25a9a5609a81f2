"""The document of the PyTorch frontend, sentence by sentence, on a small model."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, Field
from transformers import AutoTokenizer, PhiForCausalLM

from agents.llm.engines.errors import InvalidRequestError, LLMInitializationError
from agents.llm.frontend import LlamaCppInference, LocalInference, Tokenizer, TorchInference
from agents.llm.frontend.frontends import frontend_class
from agents.llm.structured.structuring import StructuringEngine, StructuringMixin
from tests.llm.engines.tiny_gguf import save_tiny_gguf

PROMPT = "The benefits of multi-agent systems include"


class Person(BaseModel):
    name: str = Field(max_length=8)
    age: int = Field(ge=0, le=150)


@pytest.fixture(scope="module")
def frontend(tiny_phi: Path) -> Iterator[TorchInference]:
    with TorchInference(str(tiny_phi), device="cpu") as frontend:
        yield frontend


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


def test_inference_yields_text_as_it_becomes_available(frontend: TorchInference) -> None:
    inference = frontend.inference(PROMPT, max_tokens=12, temp=0)

    pieces = list(inference)

    assert len(pieces) > 3
    assert "".join(pieces) == inference.finished.text
    assert inference.usage.completion_tokens == 12


def test_the_text_is_that_of_generate(frontend: TorchInference, tiny_phi: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    ids = tokenizer(PROMPT, return_tensors="pt").input_ids
    model = PhiForCausalLM.from_pretrained(tiny_phi)
    generated = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]

    assert list(frontend.inference(ids, max_tokens=12, temp=0)) == generated.tolist()
    text = "".join(frontend.inference(PROMPT, max_tokens=12, temp=0))
    assert text == tokenizer.decode(generated, skip_special_tokens=True)


def test_of_tokens_to_tokens(frontend: TorchInference) -> None:
    prompt = frontend.tokenizer.encode(PROMPT)

    token_ids = list(frontend.inference(prompt, max_tokens=9, seed=0))

    assert len(token_ids) == 9
    text = "".join(frontend.inference(PROMPT, max_tokens=9, seed=0))
    assert frontend.tokenizer.decode(token_ids) == text


def test_the_tokenizer_is_loaded_without_the_model(tiny_chat: Path) -> None:
    tokenizer = Tokenizer.load(tiny_chat)

    assert tokenizer.decode(tokenizer.encode(PROMPT)) == PROMPT
    asked = tokenizer.encode([{"role": "user", "content": "Hi"}])
    assert tokenizer.decode(asked) == "<user>Hi\n<assistant>"


def test_a_tokenizer_that_is_nowhere_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(LLMInitializationError, match=r"config\.json"):
        Tokenizer.load(tmp_path)


def test_messages_are_asked_by_the_chat_template(tiny_chat: Path) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with TorchInference(tiny_chat, device="cpu") as frontend:
        asked = "".join(frontend.inference(messages, max_tokens=6, temp=0))
        plain = "".join(frontend.inference("<user>Hi\n<assistant>", max_tokens=6, temp=0))

    assert asked == plain


def test_the_inference_kwargs_of_the_constructor_hold_until_a_call_says_otherwise(
    tiny_phi: Path,
) -> None:
    kwargs = {"temp": 0.0, "seed": 0, "max_tokens": 5, "top_k": 10, "top_p": 0.5}
    with LocalInference(tiny_phi, "PyTorch", inference_kwargs=kwargs) as local:
        usual = local.inference(PROMPT)
        other = local(PROMPT, max_tokens=3)

        assert isinstance(local.front_end, TorchInference)
        usual.result(), other.result()
        assert usual.finished.token_ids[:3] == other.finished.token_ids
        assert usual.usage.completion_tokens == 5
        assert other.usage.completion_tokens == 3


def test_a_seed_of_zero_is_a_seed(frontend: TorchInference) -> None:
    first, second, other = [
        frontend.inference(PROMPT, seed=seed, temp=1.5, top_k=0, max_tokens=12).result()
        for seed in (0, 0, 1)
    ]

    assert first == second != other


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tmep": 1.0}, "did you mean 'temp'"),
        ({"temperature": 1.0}, "did you mean 'temp'"),
        ({"max_new_tokens": 3}, "did you mean 'max_tokens'"),
        ({"topk": 3}, "did you mean 'top_k'"),
        ({"colour": 3}, "known: temp, seed"),
        ({"temp": -1.0}, "temp"),
        ({"temp": float("nan")}, "temp"),
        ({"seed": -1}, "seed"),
        ({"top_p": 0.0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_inference_kwargs_that_make_no_sense_are_refused_at_once(
    frontend: TorchInference, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        frontend.inference(PROMPT, **given)


@pytest.mark.parametrize(
    ("path", "name", "chosen"),
    [
        ("a/folder", None, TorchInference),
        ("microsoft/phi-2", None, TorchInference),
        ("model.gguf", None, LlamaCppInference),
        ("MODEL.GGUF", None, LlamaCppInference),
        ("smollm2", None, LlamaCppInference),
        ("model.gguf", "PyTorch", TorchInference),
        ("model.gguf", "torch", TorchInference),
        ("model", "llama.cpp", LlamaCppInference),
        ("model", "LlamaCpp", LlamaCppInference),
    ],
)
def test_the_frontend_is_chosen_by_the_path_unless_it_is_named(
    path: str, name: str | None, chosen: type
) -> None:
    assert frontend_class(path, name) is chosen


def test_a_gguf_file_is_answered_by_llama_cpp(tiny_gguf: Path) -> None:
    with LocalInference(tiny_gguf, device="cpu", max_active=1) as local:
        assert isinstance(local.front_end, LlamaCppInference)
        assert not local.supports_reusing_prompt_cache()
        ids = list(local.inference(local.tokenizer.encode(PROMPT), max_tokens=3, temp=0))
        text = local.inference(PROMPT, max_tokens=3, temp=0).result()
        assert local.tokenizer.decode(ids) == text
        assert isinstance(local.inference(PROMPT, output_type=Person).result(), Person)
        local.engine.configure(Person, max_new_tokens=60)
        assert isinstance(local.inference(PROMPT, local.engine).result(), Person)


def test_a_gguf_file_is_answered_by_pytorch_where_it_is_named_and_no_bar_is_drawn(
    tiny_gguf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with LocalInference(tiny_gguf, "PyTorch", device="cpu") as local:
        assert isinstance(local.inference(PROMPT, output_type=Person).result(), Person)
        encoded = local.tokenizer.encode(PROMPT)

    assert Tokenizer.load(tiny_gguf).encode(PROMPT) == encoded
    assert "%|" not in capfd.readouterr().err


def test_a_frontend_that_does_not_exist_is_refused_with_what_was_meant(tiny_phi: Path) -> None:
    with pytest.raises(LLMInitializationError, match="did you mean 'PyTorch'"):
        LocalInference(tiny_phi, "PyTroch")
    with pytest.raises(LLMInitializationError, match="did you mean 'dtype'"):
        LocalInference(tiny_phi, dtpye="float32")
    with pytest.raises(LLMInitializationError, match="for inference_kwargs"):
        LocalInference(tiny_phi, temp=0.0)


@pytest.mark.parametrize("seed", range(4))
def test_an_output_type_is_kept_to(frontend: TorchInference, seed: int) -> None:
    inference = frontend.inference(PROMPT, output_type=Person, seed=seed, temp=1.5, top_k=0)

    assert isinstance(inference.result(), Person)


def test_a_structuring_engine_is_kept_to_and_knows_the_answer(tiny_phi: Path) -> None:
    with LocalInference(tiny_phi, inference_kwargs={"temp": 1.2, "seed": 3}) as local:
        local.engine.configure(Person, max_new_tokens=60)

        pieces = list(local.inference(PROMPT, local.engine))

        assert local.engine.is_finished
        assert isinstance(local.engine.result(), Person)
        assert "".join(pieces) == local.engine.text()
        again = local.inference(PROMPT, local.engine, max_tokens=25)
        assert isinstance(again.result(), Person)


def test_a_structuring_engine_of_the_loaded_tokenizer_fits_and_another_is_refused(
    frontend: TorchInference, tiny_phi: Path
) -> None:
    same = StructuringEngine(Tokenizer.load(tiny_phi))
    same.configure(bool)
    assert frontend.inference(PROMPT, same).result() in (True, False)

    loaded = AutoTokenizer.from_pretrained(tiny_phi)
    loaded.add_tokens(["guild"])
    other = StructuringEngine(loaded)
    other.configure(bool)
    with pytest.raises(InvalidRequestError, match="another tokenizer"):
        frontend.inference(PROMPT, other).result()
    with pytest.raises(InvalidRequestError, match="not both"):
        frontend.inference(PROMPT, same, output_type=bool)


def test_the_mixin_goes_on_working_in_generate_itself(tiny_phi: Path) -> None:
    class Structured(StructuringMixin, PhiForCausalLM):
        pass

    tokenizer = Tokenizer.load(tiny_phi)
    model: Any = Structured.from_pretrained(tiny_phi)
    model.engine = StructuringEngine(tokenizer)
    model.engine.configure(Person, max_new_tokens=60)

    model.generate(torch.tensor([tokenizer.encode(PROMPT)]), do_sample=True)

    assert isinstance(model.engine.result(), Person)


_NEXT_PROCESS = """
import sys
from agents.llm.frontend import TorchInference
with TorchInference(sys.argv[1], device="cpu", prompt_cache_folder=sys.argv[2]) as frontend:
    inference = frontend.inference(sys.argv[3], max_tokens=4, temp=0)
    print(inference.result().encode().hex(), inference.usage.cached_tokens)
"""


def test_the_next_process_does_not_read_the_prompt_again(tiny_phi: Path, tmp_path: Path) -> None:
    prompt = PROMPT * 6
    with TorchInference(tiny_phi, device="cpu", prompt_cache_folder=tmp_path) as frontend:
        assert frontend.supports_reusing_prompt_cache()
        tokens = len(frontend.tokenizer.encode(prompt))
        first = frontend.inference(prompt, max_tokens=4, temp=0)
        text = first.result()
        assert first.usage.cached_tokens == 0

    command = [sys.executable, "-c", _NEXT_PROCESS, str(tiny_phi), str(tmp_path), prompt]
    ran = subprocess.run(command, capture_output=True, check=True, text=True, env=os.environ)
    said, cached = ran.stdout.split()

    assert bytes.fromhex(said).decode() == text
    assert int(cached) == tokens - 1  # the last one is read again, for its scores
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o077 == 0  # it tells the prompt
