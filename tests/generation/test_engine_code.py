"""Completions token by token: whole characters, hidden stop sequences, the same answer from the same seed."""

import json
import threading
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from generation.engines import tokens
from generation.engines.asked import CodeWork, Piece, Sampling
from generation.engines.code import CodeEngine
from generation.engines.detokenizer import Detokenizer, StopFilter
from generation.engines.errors import ContextTooLong, ModelUnavailable, UnsupportedWork
from tests.generation.tiny_models import ALL_BYTES, NEW_LINE, bytewise, write_code_model

SHIPPED = Path(__file__).resolve().parents[2] / "generation" / "weights" / "pocket-code"
SETTINGS = {"max_tokens": 40, "temperature": 0.9, "top_p": 0.95, "seed": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_code_model(tmp_path_factory.mktemp("models") / "tiny code")


@pytest.fixture(scope="module")
def engine(folder) -> CodeEngine:
    return CodeEngine(folder, "r1")


def work(prompt="def f(x):", given=(), **changes) -> CodeWork:
    return CodeWork(prompt, Sampling(**{**SETTINGS, **changes}), given=tuple(given))


def answer(engine, prompt="def f(x):", **changes) -> list[Piece]:
    return list(engine.stream(work(prompt, **changes)))


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def counted(pieces: list[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)


def test_streams_one_token_a_piece_up_to_the_limit(engine):
    pieces = answer(engine)
    assert [piece.tokens for piece in pieces] == [1] * 40 + [0]
    assert [len(piece.text) for piece in pieces] == [1] * 40 + [0]
    assert [piece.finish_reason for piece in pieces] == [None] * 40 + ["length"]


def test_the_seed_decides(engine, folder):
    assert answer(engine) == answer(CodeEngine(folder, "r1"))
    assert text(answer(engine, seed=6)) != text(answer(engine))


def test_a_temperature_of_zero_takes_the_likeliest_token(engine, folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([tokens.tokenizer_of(folder).encode("x = ").ids])
    greedy = model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :].tolist()
    pieces = answer(engine, "x = ", max_tokens=20, temperature=0)
    assert text(pieces) == tokens.tokenizer_of(folder).decode(greedy)


def test_a_small_top_p_leaves_only_the_likeliest_token(engine):
    assert text(answer(engine, top_p=1e-6)) == text(answer(engine, temperature=0))


def test_goes_on_after_any_cut_as_it_would_have(engine):
    whole = answer(engine)
    for cut in (1, 7, 20, 39):
        given = [token for piece in whole[:cut] for token in piece.ids]
        assert answer(engine, given=given, max_tokens=40 - cut) == whole[cut:]
    assert answer(engine, given=[1] * 90) == [Piece("", (), "length")]


def test_goes_on_inside_a_stop_sequence_as_it_would_have(engine):
    whole = text(answer(engine))
    pieces = answer(engine, stop=(whole[20:23],))
    for cut in range(1, len(pieces)):
        given = [token for piece in pieces[:cut] for token in piece.ids]
        assert answer(engine, stop=(whole[20:23],), given=given, max_tokens=40 - len(given)) == pieces[cut:]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_stop_sequence_ends_the_answer_and_is_not_shown(engine, length):
    whole = text(answer(engine))
    stop = whole[20 : 20 + length]
    pieces = answer(engine, stop=("\0never", stop))
    before = whole[: whole.find(stop)]
    assert text(pieces) == before
    assert pieces[-1].finish_reason == "stop"
    assert counted(pieces) == len(before) + length


def test_text_held_back_for_nothing_is_delivered(engine):
    whole = text(answer(engine))
    almost = whole[10:14] + "\0"
    pieces = answer(engine, stop=(almost,))
    assert text(pieces) == whole
    assert counted(pieces) == 40
    assert pieces[-1].finish_reason == "length"
    unfinished = answer(engine, stop=(whole[-2:] + "\0",))
    assert text(unfinished) == whole
    assert (unfinished[-1].text, unfinished[-1].tokens) == (whole[-2:], 2)
    assert unfinished[-1].finish_reason == "length"


def test_the_model_can_end_its_answer(tmp_path, engine, folder):
    whole = text(answer(engine, temperature=0))
    last = whole[5]
    ended = write_code_model(tmp_path / "ended")
    config = json.loads((ended / "generation_config.json").read_text())
    config["eos_token_id"] = [tokens.tokenizer_of(folder).encode(last, add_special_tokens=False).ids[0]]
    (ended / "generation_config.json").write_text(json.dumps(config))
    pieces = answer(CodeEngine(ended, "r1"), temperature=0)
    assert text(pieces) == whole[: whole.find(last)]
    assert counted(pieces) == whole.find(last)
    assert pieces[-1].finish_reason == "stop"


def test_never_sends_half_a_character(tmp_path):
    tokenizer = bytewise(ALL_BYTES, [], "$A")
    for written in ("naïve café", "🙂🙃", "漢字 and e\u0301", "a\u00e9"):
        detokenizer = Detokenizer(tokenizer, tokenizer.encode("é🙂").ids)
        ids = tokenizer.encode(written, add_special_tokens=False).ids
        assert len(ids) == len(written.encode())
        pieces = [detokenizer.push(token) for token in ids]
        assert [piece for piece in pieces if piece] == list(written)
        assert detokenizer.finish() == ""
    detokenizer = Detokenizer(tokenizer, [])
    assert [
        detokenizer.push(token) for token in tokenizer.encode("a🙂", add_special_tokens=False).ids[:-1]
    ] == [
        "a",
        "",
        "",
        "",
    ]
    assert detokenizer.finish() == ""
    engine = CodeEngine(write_code_model(tmp_path / "bytes", ALL_BYTES), "r1")
    for seed in range(5):
        pieces = answer(engine, "é", seed=seed, temperature=2.0, top_p=1.0)
        text(pieces).encode("utf-8")
        assert counted(pieces) == 40


def test_the_first_stop_sequence_in_the_text_wins():
    stops = StopFilter(["\n\n", "def", "\nclass"])
    sent = [stops.push(part) for part in ("a\n", "cla", "im\n", "\nclass")]
    assert (sent, stops.stopped, stops.finish()) == (["a", "", "\nclaim", ""], True, "")
    assert stops.push("more") == ""


def test_the_context_ends_an_answer_and_refuses_a_prompt_that_fills_it(engine):
    assert engine.context_length == 96
    prompt = "x" * 85
    assert tokens.count(engine.folder, prompt) == 86
    pieces = answer(engine, prompt)
    assert (counted(pieces), pieces[-1].finish_reason) == (10, "length")
    assert counted(answer(engine, "x" * 94)) == 1
    with pytest.raises(ContextTooLong) as refused:
        engine.stream(work("x" * 95))
    assert (refused.value.limit, refused.value.asked) == (96, 96)


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 0}, {"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"stop": ("",)}],
)
def test_refuses_settings_out_of_range(engine, change):
    with pytest.raises(UnsupportedWork):
        engine.stream(work("x", **change))


def test_an_empty_prompt_starts_from_the_start_token(engine):
    assert tokens.count(engine.folder, "") == 1
    assert counted(answer(engine, "")) == 40


def test_closing_ends_the_work(engine):
    calls = []
    hook = engine._model.register_forward_hook(lambda *_: calls.append(1))
    try:
        stream = engine.stream(work())
        next(stream)
        next(stream)
        stream.close()
        assert len(calls) == 2
        assert list(stream) == []
        assert len(calls) == 2
    finally:
        hook.remove()


def test_two_streams_side_by_side_do_not_disturb_each_other(engine):
    prompts = ["def f(x):", "class A:"]
    alone = [answer(engine, prompt) for prompt in prompts]
    together = [[], []]
    start = threading.Barrier(2)

    def run(place):
        start.wait()
        for _ in range(3):
            together[place] = answer(engine, prompts[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    interleaved = [engine.stream(work(prompt)) for prompt in prompts]
    mixed = [[next(stream) for stream in interleaved] for _ in range(10)]
    assert [[pair[place] for pair in mixed] for place in range(2)] == [pieces[:10] for pieces in alone]


def test_a_prompt_that_spells_a_special_token_is_only_text(tmp_path):
    bytewise(ALL_BYTES, ["<s>", "</s>"], "<s> $A").save(str(tmp_path / "tokenizer.json"))
    assert tokens.count(tmp_path, "") == 1
    assert tokens.count(tmp_path, "</s>") == 1 + len("</s>")
    assert tokens.count(tmp_path, "<s></s>") == 1 + len("<s></s>")


def test_a_swapped_tokenizer_is_read_again(tmp_path):
    folder = write_code_model(tmp_path / "model")
    before = tokens.count(folder, "héllo")
    bytewise(ALL_BYTES, [], f"{NEW_LINE} $A").save(str(folder / "tokenizer.json"))
    assert (before, tokens.count(folder, "héllo")) == (5, 7)


def test_a_folder_without_a_model_is_unavailable(tmp_path, folder):
    for call in (tokens.tokenizer_of, tokens.context_length, lambda empty: CodeEngine(empty, "r1")):
        with pytest.raises(ModelUnavailable):
            call(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="not a tokenizer"):
        tokens.tokenizer_of(tmp_path)


def test_the_shipped_model_answers():
    engine = CodeEngine(SHIPPED, "shipped")
    pieces = answer(engine, "def add(a, b):\n    return", max_tokens=12, temperature=0.2)
    assert counted(pieces) <= 12
    assert pieces[-1].finish_reason in ("stop", "length")
    assert pieces == answer(engine, "def add(a, b):\n    return", max_tokens=12, temperature=0.2)
