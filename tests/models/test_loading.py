import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from arcgym.errors import GenerationError
from arcgym.models import TINY_NAME, build_tiny, build_tokenizer, load_tokenizer, resolve_policy


def test_the_default_policy_is_shipped_and_loads_without_network():
    tokenizer = load_tokenizer(TINY_NAME)
    model, info = AutoModelForCausalLM.from_pretrained(resolve_policy(TINY_NAME), output_loading_info=True)
    assert not info["unexpected_keys"] and not info["missing_keys"]
    assert 1e6 <= model.num_parameters() <= 4e6
    assert model.config.max_position_embeddings >= 1024
    assert len(tokenizer) == model.config.vocab_size


def test_other_names_are_left_alone():
    assert resolve_policy("Qwen/Qwen2.5-Coder-0.5B") == "Qwen/Qwen2.5-Coder-0.5B"


def test_a_missing_model_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(GenerationError, match="arcgym-tiny"):
        load_tokenizer(str(tmp_path / "nothing"))


def test_a_tokenizer_without_pad_token_pads_with_eos_on_the_left(tmp_path):
    tokenizer = build_tokenizer(128)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.pad_token_id == loaded.eos_token_id
    assert loaded.padding_side == "left"


def test_a_tokenizer_without_eos_token_is_refused(tmp_path):
    tokenizer = build_tokenizer(128)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(GenerationError, match="end-of-sequence"):
        load_tokenizer(str(tmp_path))


def test_an_untrained_policy_has_the_wanted_size():
    tokenizer = build_tokenizer(128)
    model = build_tiny(tokenizer, hidden_size=64, num_layers=3, max_length=128)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 3, 2)
    assert config.eos_token_id == tokenizer.eos_token_id


def test_a_tokenizer_that_tidies_up_spaces_is_kept_from_it(tmp_path, byte_tokenizer):
    byte_tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    # Transformers 5 wants the second word for byte pairs; other kinds tidy up without it
    tidies = (
        "clean_up_tokenization_spaces",
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
    )
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | dict.fromkeys(tidies, True)))
    tokenizer = load_tokenizer(str(tmp_path))
    source = "x = [ 1 , 2 ] . index ( 1 ) ; y = ' do n't ' "
    assert tokenizer.decode(tokenizer(source)["input_ids"]) == source


def test_a_tokenizer_that_loses_indentation_is_refused(tmp_path):
    words = Tokenizer(models.WordLevel({"<eos>": 0, "<unk>": 1, "x": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>").save_pretrained(tmp_path)
    with pytest.raises(GenerationError, match="does not keep Python's spaces"):
        load_tokenizer(str(tmp_path))


def test_the_revision_is_asked_for(monkeypatch, byte_tokenizer):
    asked = {}
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda name, **kwargs: asked.update(kwargs) or byte_tokenizer
    )
    load_tokenizer("some/model", revision="v2")
    assert asked["revision"] == "v2"
