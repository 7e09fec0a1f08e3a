import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from arcgym import primitives
from arcgym.data.synthetic import generate_tasks
from arcgym.models import build_tokenizer

TOKENIZER = build_tokenizer(512)


def source_lines():
    words = st.sampled_from(
        ["grid", "flip_lr", "(grid)", "(grid, ", "def transform(grid):\n", "    ", "\t", "é中", "'", "\n"]
    )
    return st.lists(words | st.text(st.characters(codec="utf-8"), max_size=8), max_size=20).map("".join)


@pytest.mark.property(6)
@settings(max_examples=200, deadline=None)
@given(source_lines())
def test_decoding_what_was_encoded_gives_the_same_source(source):
    assert TOKENIZER.decode(TOKENIZER(source)["input_ids"]) == source


def test_digits_phrases_and_primitive_names_are_one_token_each():
    for text in [*"0123456789", "Input:\n", "Program:\n", *primitives.__all__]:
        assert len(TOKENIZER(text)["input_ids"]) == 1, text


def test_programs_are_short():
    lengths = [len(TOKENIZER(task.program)["input_ids"]) for task in generate_tasks(100, seed=4)]
    assert max(lengths) <= 30
    assert sum(lengths) / len(lengths) < 12


def test_a_saved_tokenizer_is_the_same_one(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Input:\n012\nProgram:\ndef transform(grid):\n    grid = flip_lr(grid)\n"
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert (loaded.pad_token, loaded.eos_token, loaded.padding_side) == ("<pad>", "<eos>", "left")
