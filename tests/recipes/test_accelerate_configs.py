"""Launch configs: each is one that accelerate understands in full, and the one for CPU really starts two processes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

from arcgym.errors import ConfigError
from arcgym.models import build_tiny, build_tokenizer
from arcgym.runs.job import check_processes, hash_weights
from arcgym.training.metric_table import find
from arcgym.training.metrics import read_rows

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "accelerate_configs").glob("*.yaml"))


def launch_arguments(path):
    """The launcher's settings, after its own checks, as `accelerate launch --config_file` makes them."""
    arguments = launch_command_parser().parse_args(["--config_file", str(path), "recipes/ppo.py"])
    return _validate_launch_command(arguments)[0]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_every_config(path):
    config = load_config_from_file(str(path))
    expected = {
        "cpu_ddp": (DistributedType.MULTI_GPU, 2),
        "single_gpu": (DistributedType.NO, 1),
        "ddp": (DistributedType.MULTI_GPU, 8),
        "fsdp2": (DistributedType.FSDP, 8),
        "zero2": (DistributedType.DEEPSPEED, 8),
        "zero3": (DistributedType.DEEPSPEED, 8),
    }
    assert (config.distributed_type, config.num_processes) == expected[path.stem]
    assert config.mixed_precision == "no", "the recipe's `bf16` decides"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_nested_setting_is_one_of_the_launcher(path):
    known = vars(launch_command_parser().parse_args(["recipes/ppo.py"]))
    config = yaml.safe_load(path.read_text())
    nested = {**config.get("fsdp_config", {}), **config.get("deepspeed_config", {})}
    assert set(nested) <= set(known), "the launcher takes unknown nested settings without a word"


@pytest.mark.parametrize(
    ("name", "prepare", "expected"),
    [
        ("cpu_ddp", prepare_multi_gpu_env, {}),
        ("ddp", prepare_multi_gpu_env, {}),
        (
            "fsdp2",
            prepare_multi_gpu_env,
            {
                "ACCELERATE_USE_FSDP": "true",
                "FSDP_VERSION": "2",
                "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
                "FSDP_RESHARD_AFTER_FORWARD": "true",
                "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
            },
        ),
        (
            "zero2",
            lambda arguments: prepare_deepspeed_cmd_env(arguments)[1],
            {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"},
        ),
        (
            "zero3",
            lambda arguments: prepare_deepspeed_cmd_env(arguments)[1],
            {
                "ACCELERATE_USE_DEEPSPEED": "true",
                "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
                "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false",
                "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "true",
            },
        ),
        ("single_gpu", lambda arguments: prepare_simple_launcher_cmd_env(arguments)[1], {}),
    ],
)
def test_what_the_launcher_tells_the_processes(name, prepare, expected):
    arguments = launch_arguments(ROOT / "accelerate_configs" / f"{name}.yaml")
    arguments.deepspeed_fields_from_accelerate_config = ""
    environment = prepare(arguments)
    assert {key: environment.get(key) for key in expected} == expected
    assert environment["ACCELERATE_MIXED_PRECISION"] == "no"
    if name != "single_gpu":
        processes = 2 if name == "cpu_ddp" else 8
        assert arguments.nproc_per_node == str(processes)
    for flag, prefix in (("ACCELERATE_USE_FSDP", "fsdp"), ("ACCELERATE_USE_DEEPSPEED", "zero")):
        assert (flag in environment) == name.startswith(prefix)


def launch(config, arguments):
    """Run the PPO recipe under one of our launch configs, or without one."""
    options = ["--config_file", str(ROOT / "accelerate_configs" / config)] if config else []
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *options, str(ROOT / "recipes" / "ppo.py"), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """A folder with an untrained policy and its tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    tokenizer = build_tokenizer(512)
    torch.manual_seed(0)
    build_tiny(tokenizer, hidden_size=32, num_layers=1, max_length=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def words(policy, tmp_path):
    """Command-line words of a small PPO run; keyword arguments change its settings."""

    def make(**changes):
        settings = {
            "model_name_or_path": str(policy),
            "train_tasks": ["synthetic/train:24"],
            "eval_tasks": ["synthetic/evaluation:3"],
            "max_prompt_tokens": 256,
            "num_generations": 1,
            "max_completion_length": 6,
            "max_steps": 4,
            "learning_rate": 3.0e-4,
            "warmup_steps": 0,
            "num_ppo_epochs": 2,
            "num_mini_batches": 1,
            "entropy_coef": 0.0,
            "logging_steps": 1,
            "bf16": False,
            "report_to": "none",
        }
        base = yaml.safe_load((ROOT / "recipes" / "configs" / "ppo_quickstart.yaml").read_text())
        path = tmp_path / f"{changes['output_dir'].name}.yaml"
        changes["output_dir"] = str(changes["output_dir"])
        path.write_text(yaml.safe_dump(base | settings | changes))
        return ["--config", str(path)]

    return make


@pytest.mark.slow
def test_two_processes_on_cpu_train_one_policy(words, tmp_path, policy):
    # Greedy rollouts, so that the processes' different random states do not matter
    two = launch("cpu_ddp.yaml", words(output_dir=tmp_path / "two", per_device_train_batch_size=4, top_k=1))
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("Processes      2 (gloo)") == 1
    assert two.stdout.count("8 prompts × 1 = 8 programs") == 1
    for once in ("Evaluating before training", "Evaluating after training", "Tasks that were not trained on"):
        assert two.stdout.count(once) == 1
    summary = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert (summary["processes"], summary["programs"]) == (2, 16)
    rank0, rank1 = summary["weights_hashes"]
    assert rank0 == rank1

    one = launch(None, words(output_dir=tmp_path / "one", per_device_train_batch_size=8, top_k=1))
    assert one.returncode == 0, one.stderr
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["processes"] == 1

    def metrics(run):
        rows = read_rows(tmp_path / run / "metrics.jsonl")
        same = [{k: v for k, v in row.items() if (m := find(k)) and m.follows_seed} for row in rows]
        return [row for row in same if "grad_norm" in row]

    # The same 8 prompts and programs, merged from 2 × 4
    merged, whole = metrics("two"), metrics("one")
    assert len(merged) == 4 and {"reward", "entropy", "ppo/value_loss", "programs/valid_frac"} <= merged[0].keys()
    for ours, theirs in zip(merged, whole, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)

    start, two, one = (
        safetensors.torch.load_file(folder / "model.safetensors")
        for folder in (policy, tmp_path / "two", tmp_path / "one")
    )
    assert max((two[name] - start[name]).abs().max().item() for name in start) > 5e-4, "nothing was learned"
    for name in start:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5)


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"started 2 processes, but this one knows of 1: .* set `use_cpu: true`"):
        check_processes(1)
    check_processes(2)


def test_a_single_process_where_several_were_asked_for_warns(monkeypatch, caplog):
    for name in ("WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    check_processes(1)
    assert not caplog.records
    monkeypatch.setenv("MASTER_PORT", "29500")
    check_processes(1)
    assert "trains alone" in caplog.text and "cpu_ddp.yaml" in caplog.text


def test_the_hash_covers_every_trained_weight_and_no_other():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1).bfloat16())
    model[0].bias.requires_grad_(False)
    before = hash_weights(model)
    with torch.no_grad():
        model[0].bias += 1
        assert hash_weights(model) == before
        for parameter in (model[0].weight, model[1].weight, model[1].bias):
            seen = hash_weights(model)
            parameter.view(-1)[-1] += 1
            assert hash_weights(model) != seen


@pytest.mark.slow
def test_processes_without_a_common_group_end_before_training(words, tmp_path):
    done = launch("cpu_ddp.yaml", words(output_dir=tmp_path / "run", per_device_train_batch_size=4, use_cpu=False))
    assert done.returncode != 0
    assert "ConfigError: The launcher started 2 processes, but this one knows of 1" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_sizing_tables_of_the_docs_are_what_their_program_prints(capsys):
    text = (ROOT / "docs" / "scaling.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert [len(table.splitlines()) for table in tables] == [2 + 16, 2 + 4]
    assert all(f"\n\n{table}\n\n" in text for table in tables)
