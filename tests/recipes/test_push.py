"""A recipe that pushes its run, to a Hub on loopback: what arrives, and that no failure of the Hub costs the run."""

import re
import shlex

import pytest
from hub_server import TOKEN, HubServer

from arcgym.training.checkpoints import find_problems

PUSH = {"push_to_hub": True, "hub_model_id": "acme/policy", "max_steps": 2, "num_ppo_epochs": 1}


@pytest.fixture
def server(monkeypatch, tmp_path):
    with HubServer() as server:
        for name, value in {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_TOKEN": TOKEN,
        }.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo", "grpo"])
def test_a_run_is_on_the_hub_when_it_ends_and_its_checkpoints_before(make_recipe, server, tmp_path, name):
    saves = {"save_strategy": "steps", "save_steps": 1, "hub_strategy": "checkpoint", "hub_always_push": True}
    recipe = make_recipe(name, **(PUSH | saves | {"hub_tag": "v1"}))
    if name == "grpo":
        del recipe.settings["num_ppo_epochs"]
    done = recipe.launch()
    assert done.returncode == 0, done.stderr
    repository = server.repositories["acme/policy"]
    assert f"Pushed to {server.url}/acme/policy/commit/{repository.tags['v1']}" in done.stdout
    files = repository.files("v1")
    assert f"fine-tuned by {name.upper()}" in files["README.md"].decode()
    assert files["model.safetensors"] == (tmp_path / "run" / "model.safetensors").read_bytes()
    assert not any(TOKEN.encode() in data for data in files.values())
    assert any("Training in progress" in summary for summary in repository.summaries)
    state = tmp_path / "downloaded"
    state.mkdir()
    for path, data in files.items():
        if path.startswith("last-checkpoint/"):
            (state / path.removeprefix("last-checkpoint/")).write_bytes(data)
    assert name != "ppo" or find_problems(state) == []


@pytest.mark.slow
def test_a_push_that_fails_ends_with_status_0_and_the_command_for_later(make_recipe, server, tmp_path):
    server.failures["PUT /lfs"] = (507, "Insufficient storage")
    recipe = make_recipe("ppo", **(PUSH | {"save_strategy": "steps", "save_steps": 1}))
    done = recipe.launch()
    assert done.returncode == 0, done.stderr
    assert "Tasks that were not trained on" in done.stdout and "Traceback" not in done.stderr
    assert "the Hub refused it (507: Insufficient storage)" in done.stderr
    (command,) = re.findall(r"^    (arcgym push .*)$", done.stderr, re.MULTILINE)
    assert find_problems(tmp_path / "run" / "checkpoint-2") == []
    assert (tmp_path / "run" / "summary.json").is_file()
    assert shlex.split(command) == ["arcgym", "push", str(tmp_path / "run"), "acme/policy"]
    assert server.repositories["acme/policy"].files() == {}


def test_a_missing_token_is_said_before_anything_is_loaded(make_recipe, server, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/no/such/file")
    message = make_recipe("ppo", **PUSH).refusal(capsys, monkeypatch)
    assert "there is no token" in message and "arcgym push" in message
