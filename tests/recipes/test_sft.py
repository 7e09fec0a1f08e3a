"""The fine-tuning recipe on a solution database: what it learns, what it leaves, and what it refuses."""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "selfplay"))
import tiny_policies
from selfplay_toys import Toy, flip_task, load_recipe

from arcgym.data import TaskLoader
from arcgym.errors import ConfigError, DatabaseError
from arcgym.models import CodeLLM
from arcgym.runs.job import hash_weights
from arcgym.runs.parsing import parse_config
from arcgym.sandbox import ExecutionResult, Status
from arcgym.solutions import Solution, SolutionDatabase, task_inputs

ROOT = Path(__file__).parents[2]
SFT = {"per_task": 2, "per_device_train_batch_size": 2, "save_strategy": "no", "num_train_epochs": 4}
ROUNDS = ("num_rounds", "samples_per_task", "chunk_size", "sampling_batch_size", "diversity_floor")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy of self-play with a database that holds a right program for each task that can be solved."""
    toy = Toy(tmp_path_factory.mktemp("sft"))
    for name in ROUNDS:
        del toy.settings[name]
    toy.settings |= SFT | {"solutions": str(toy.folder / "solutions.sqlite")}
    tasks = TaskLoader().load(str(toy.folder / "tasks"), "train")
    with SolutionDatabase(toy.settings["solutions"]) as database:
        for task in tasks:
            result = ExecutionResult(Status.OK, tuple(grid[:, ::-1] for grid in task_inputs(task)))
            database.add([Solution.from_result(task, tiny_policies.FLIP, result)])
    return toy


@pytest.fixture(scope="module")
def trained(toy):
    return toy.run("sft", "trained")


def test_right_programs_alone_are_learned_and_the_policy_writes_them_more_often(trained, toy):
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["samples"] == 3, "of six tasks three are flips"
    name = toy.settings["eval_tasks"][0]
    assert summary["after"][name]["pass@1"] >= summary["before"][name]["pass@1"]
    assert summary["loss"] > 0 and summary["steps"] == 8
    assert (trained / "eval").is_dir() and len(list((trained / "eval").glob("*.json"))) == 2


def test_the_policy_is_one_that_recipes_load(trained, toy):
    policy = CodeLLM.load(str(trained))
    summary = json.loads((trained / "summary.json").read_text())
    assert hash_weights(policy.model) == summary["hashes"][0]
    assert hash_weights(policy.model) != hash_weights(CodeLLM.load(str(toy.folder / "policy")).model)


def test_an_adapter_is_trained_where_one_is_asked_for(toy):
    folder = toy.run("sft", "adapter", use_peft=True, lora_target_modules=["q_proj", "v_proj"], num_train_epochs=1)
    assert (folder / "adapter_config.json").is_file() and not (folder / "model.safetensors").exists()
    policy = CodeLLM.load(str(folder))
    assert policy.model is not policy.causal_lm


def test_checkpoints_are_resumed(toy, capsys):
    settings = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 3}
    folder = toy.run("sft", "resumed", **settings)
    unbroken = json.loads((folder / "summary.json").read_text())
    for newer in folder.glob("checkpoint-4"):
        shutil.rmtree(newer)
    capsys.readouterr()
    toy.run("sft", "resumed", resume_from_checkpoint="auto", **settings)
    assert f"Going on       from {folder}/checkpoint-3" in capsys.readouterr().out
    again = json.loads((folder / "summary.json").read_text())
    assert again["steps"] == unbroken["steps"] == 4
    assert again["hashes"] == unbroken["hashes"]


def test_a_dry_run_takes_a_step_and_keeps_nothing(toy, capsys):
    folder = toy.run("sft", "dry", dry_run=True)
    out = capsys.readouterr().out
    assert "Learning from" in out and "Program:" in out and "def transform" in out
    assert not list(folder.rglob("*.safetensors"))


def test_a_database_without_right_programs_is_refused(toy, tmp_path):
    with SolutionDatabase(tmp_path / "other.sqlite") as database:
        task = flip_task(99)
        result = ExecutionResult(Status.OK, tuple(grid[:, ::-1] for grid in task_inputs(task)))
        database.add([Solution.from_result(task, tiny_policies.FLIP, result)])
    with pytest.raises(ConfigError, match="holds no right program for any of the 6 tasks"):
        toy.run("sft", "empty", solutions=str(tmp_path / "other.sqlite"))


def test_a_database_that_is_not_there_is_not_made(toy, tmp_path):
    with pytest.raises(DatabaseError, match="there is no database"):
        toy.run("sft", "missing", solutions=str(tmp_path / "nothing.sqlite"))
    assert not (tmp_path / "nothing.sqlite").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("eval_strategy", "steps"), ("packing", True), ("assistant_only_loss", True), ("eval_temperature", 0.0)],
)
def test_what_would_do_nothing_is_refused(toy, setting, value):
    with pytest.raises(ConfigError, match=setting):
        toy.run("sft", "refused", **{setting: value, "eval_steps": 5})


def test_samples_that_are_all_too_long_are_refused(toy):
    with pytest.raises(ConfigError, match="longer than `max_length`, which is 50"):
        toy.run("sft", "long", max_length=50)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "configs").glob("sft*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_is_accepted(path):
    recipe = load_recipe("sft")
    types = [recipe.SFTArguments, recipe.ChoiceArguments, *recipe.COMMON]
    args, *_ = parse_config(types, ["--config", str(path), "--solutions", "some.sqlite"])
    assert args.solutions == "some.sqlite"
