"""What is logged: that the declarations are those of real runs, and that every logger gets the same."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ppo_toy import share_of_a, toy_prompts
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_policies import byte_tokenizer, taught_llama
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from arcgym.data.synthetic import generate_tasks
from arcgym.rewards import RewardCalculator
from arcgym.sandbox import CodeSandbox
from arcgym.training.metric_table import ALWAYS, METRICS, Metric, Run, find, required, with_table
from arcgym.training.metrics import (
    MetricsTracker,
    append_row,
    describe_completion,
    gradient_norm,
    peak_memory_mb,
    read_rows,
    spread_out,
)

ROOT = Path(__file__).parents[2]
PROGRAM = "def transform(grid):\n    return grid"


@pytest.fixture(scope="module")
def sandbox():
    with CodeSandbox(workers=1, allow_weak=True) as opened:
        yield opened


@pytest.fixture
def make_tracked(make_trainer):
    """Build a trainer of the toy task with a tracker and TensorBoard."""

    def make(settings=None, tracker=None, **arguments):
        trainer = make_trainer({"report_to": "tensorboard"} | (settings or {}), **arguments)
        trainer.add_callback(MetricsTracker(trainer, **(tracker or {})))
        return trainer

    return make


def folder_of(trainer):
    return Path(trainer.args.output_dir)


def events_of(trainer):
    (file,) = folder_of(trainer).glob("runs/*/events*")
    events = EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def scalars_of(trainer):
    """Scalars that reached TensorBoard: step → name → value, under the names that the trainer logged them by."""
    events, found = events_of(trainer), {}
    for tag in events.Tags()["scalars"]:
        group, _, name = tag.partition("/")
        for event in events.Scalars(tag):
            found.setdefault(event.step, {})[name if group == "train" else f"eval_{name}"] = event.value
    return found


def texts_of(trainer, tag="completions"):
    return {e.step: e.tensor_proto.string_val[0].decode() for e in events_of(trainer).Tensors(f"{tag}/text_summary")}


def rows_of(trainer):
    """Rows of steps, without the last one, which sums up the training."""
    return [row for row in read_rows(folder_of(trainer) / "metrics.jsonl") if "train_runtime" not in row]


def warnings_of(caplog):
    return [record.message for record in caplog.records if record.name == "arcgym.training.metrics"]


# --- Declarations ---


def test_the_page_holds_the_table_of_the_declarations():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == with_table(page), "call: python -m arcgym.training.metric_table docs/metrics.md"
    assert "| `ppo/explained_variance` | 1 | rollout | with a critic |" in page


def test_a_page_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="to put the table between"):
        with_table("# Metrics\n")


def test_every_metric_is_declared_once_and_found_by_its_name():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.meaning.endswith(".") and metric.unit
        assert find(metric.name) is metric


@pytest.mark.parametrize(
    ("name", "declaration"),
    [
        ("rewards/program_reward/mean", "rewards/{function}/mean"),
        ("eval_rewards/program_reward/std", "rewards/{function}/std"),
        ("eval_tasks/solved_frac", "tasks/solved_frac"),
        ("eval_held_out_loss", "eval_{set}_loss"),
        ("sampling/importance_sampling_ratio/min", "sampling/importance_sampling_ratio/{statistic}"),
        ("train_mem_cpu_alloc_delta", "{stage}_mem_{what}"),
        ("eval_grad_norm", None),  # there is no update in an evaluation
        ("eval_ppo/kl_coef", None),
        ("rewards/mean", None),
        ("reward_", None),
    ],
)
def test_names_find_their_declaration(name, declaration):
    found = find(name)
    assert (found and found.name) == declaration


def test_what_is_required_follows_the_settings(make_config):
    def needed(when, reward_names=("f",), scores_programs=False, is_sharded=False, **changes):
        return required(Run(make_config(**changes), reward_names, scores_programs, is_sharded), when)

    assert {"loss", "grad_norm", "grad_norm_clipped", "memory/peak_mb"} <= needed({"step"})
    assert "grad_norm_clipped" not in needed({"step"}, is_sharded=True)
    assert "ppo/value_loss" in needed({"update"}) and "loss" not in needed({"update"})
    assert "ppo/value_loss" not in needed({"update"}, advantage="reinforce")
    assert {"rewards/f/mean", "rewards/g/std"} <= needed({"rollout"}, reward_names=("f", "g"))
    assert "tasks/solved_frac" in needed({"rollout"}, scores_programs=True) - needed({"rollout"})
    assert needed({"rollout"}, kl_coef=0.1) - needed({"rollout"}) == {"kl", "ppo/kl_penalty"}
    assert needed({"rollout"}, kl_coef=0.1, kl_target=1.0) >= {"kl", "ppo/kl_coef"}
    assert needed({"rollout"}, beta=0.1) - needed({"rollout"}) == {"kl"}
    assert needed({"rollout"}, num_generations=2) - needed({"rollout"}) == {"frac_reward_zero_std"}
    evaluation = needed({"evaluation"}, kl_coef=0.1, kl_target=1.0, replay_share=0.5)
    assert {"eval_reward", "eval_entropy", "eval_kl"} <= evaluation
    assert not {"eval_loss", "eval_ppo/kl_coef", "eval_ppo/replay_frac", "eval_speed/tokens_per_second"} & evaluation


# --- Runs ---


def task_prompts(prompt=None):
    """Prompts of the toy task beside tasks to score programs on."""
    tasks = [{"task_id": task.task_id, **task.to_dict()} for task in generate_tasks(8, seed=1, max_side=4)]
    rows = [tasks[i % 8] | {"prompt": prompt or row["prompt"]} for i, row in enumerate(toy_prompts())]
    return Dataset.from_list(rows)


@st.composite
def runs(draw):
    """Settings of short runs that differ in everything that changes what is logged."""
    advantage = draw(st.sampled_from(["gae", "group", "rloo", "reinforce"]))
    generations = draw(st.sampled_from([2, 4] if advantage in ("group", "rloo") else [1, 2, 4]))
    chosen = {
        "advantage": advantage,
        "num_generations": generations,
        "num_mini_batches": draw(st.integers(1, 2)),
        "num_ppo_epochs": draw(st.integers(1, 2)),
        "logging_steps": draw(st.integers(1, 3)),
        "gradient_accumulation_steps": draw(st.integers(1, 2)),
        "per_device_train_batch_size": 4,
        "max_completion_length": 4,
        "max_steps": 3,
        "max_grad_norm": draw(st.sampled_from([0.0, 0.01, 100.0])),
        "learning_rate": draw(st.sampled_from([0.0, 1e-3, 1e-1])),
        "entropy_coef": draw(st.sampled_from([0.0, 0.01])),
        "share_prompts": draw(st.booleans()),
    }
    kl = draw(st.sampled_from([{}, {"beta": 0.1}, {"kl_coef": 0.1}, {"kl_coef": 0.1, "kl_target": 1.0}]))
    replay = draw(st.sampled_from([{}, {"replay_share": 0.5}]))
    return chosen | kl | replay


def check_against_the_recount(trainer):
    """Compare rows and TensorBoard with what the settings say about each of them."""
    args = trainer.args
    run = Run(args, tuple(trainer.reward_func_names), scores_programs=True)
    rows, scalars = rows_of(trainer), scalars_of(trainer)
    logged_at = [step for step in range(1, args.max_steps + 1) if step % args.logging_steps == 0]
    assert [row["step"] for row in rows] == logged_at
    rollouts = {step for step in range(1, args.max_steps + 1) if (step - 1) % args.optimizer_steps_per_rollout == 0}
    for previous, row in zip([0, *logged_at], rows, strict=False):
        has_rollout = any(previous < step <= row["step"] for step in rollouts)
        expected = required(run, {"step", "update", "rollout"} if has_rollout else {"step", "update"})
        assert expected <= row.keys()
        values = {name: value for name, value in row.items() if name not in ("step", "time")}
        # One number or none, and the same one everywhere; TensorBoard keeps 32 bits
        assert torch.tensor([values[name] for name in expected], dtype=torch.float64).isfinite().all()
        in_tensorboard = {name: scalars[row["step"]][name] for name in values}
        assert in_tensorboard == {name: torch.tensor(value).float().item() for name, value in values.items()}
        assert all(find(name) for name in values)
        limit = args.max_grad_norm or float("inf")
        assert row["grad_norm_clipped"] == pytest.approx(min(row["grad_norm"], limit), rel=1e-3)


@pytest.mark.property(25)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs())
def test_every_logged_step_has_every_declared_metric_in_tensorboard_and_file_alike(
    make_tracked, sandbox, tmp_path_factory, caplog, chosen
):
    caplog.clear()
    trainer = make_tracked(
        chosen | {"output_dir": str(tmp_path_factory.mktemp("run"))},
        reward_funcs=[RewardCalculator(sandbox), share_of_a],
        train_dataset=task_prompts(),
    )
    trainer.train()
    check_against_the_recount(trainer)
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(("trainer_type", "config_type"), [(GRPOTrainer, GRPOConfig), (RLOOTrainer, RLOOConfig)])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_the_baselines_log_what_is_declared_in_training_and_evaluation(
    policy_folder, tmp_path, sandbox, caplog, trainer_type, config_type, beta
):
    args = config_type(
        output_dir=str(tmp_path / "run"),
        beta=beta,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        num_generations=2,
        num_iterations=2,
        max_completion_length=4,
        max_steps=3,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=2,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        report_to="tensorboard",
        save_strategy="no",
        disable_tqdm=True,
    )
    dataset = task_prompts()
    trainer = trainer_type(policy_folder, RewardCalculator(sandbox), args, dataset, dataset.select(range(4)))
    trainer.add_callback(MetricsTracker(trainer))
    trainer.train()
    assert warnings_of(caplog) == []
    run = Run(args, ("program_reward",), scores_programs=True)
    by_kind = {"train": [], "eval": []}
    for row in rows_of(trainer):
        by_kind["eval" if "eval_loss" in row else "train"].append(row)
    assert [row["step"] for row in by_kind["train"]] == [1, 2, 3]
    assert ["reward" in row for row in by_kind["train"]] == [True, False, True]
    assert all(required(run, {"step", "update"}) <= row.keys() for row in by_kind["train"])
    assert all(required(run, {"rollout"}) <= row.keys() for row in by_kind["train"][::2])
    assert [row["step"] for row in by_kind["eval"]] == [2, 3]
    assert all(required(run, {"evaluation"}) <= row.keys() for row in by_kind["eval"])
    assert scalars_of(trainer)[2]["eval_reward"] == pytest.approx(by_kind["eval"][0]["eval_reward"])


def test_what_is_undeclared_or_missing_is_warned_of_once_by_name(make_tracked, caplog):
    def reward(completions, log_metric, **columns):
        log_metric("style/comments", 1.0)
        log_metric("style/length", 2.0)
        return share_of_a(completions)

    always = Metric("style/never", "share", "rollout", "Nobody logs it.", ALWAYS)
    own = Metric("style/length", "1", "rollout", "Declared by its author.")
    trainer = make_tracked({"num_ppo_epochs": 1}, {"declared": (*METRICS, always, own)}, reward_funcs=reward)
    trainer.train()
    undeclared, missing = warnings_of(caplog)
    assert "`style/comments` is logged, but not declared" in undeclared
    assert "`style/never` should be in every row" in missing
    assert all(row["style/comments"] == 1.0 for row in rows_of(trainer))


# --- Measurements ---


def test_the_clipped_norm_is_that_of_the_step_that_the_optimizer_takes(make_tracked, make_model):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = make_tracked({"max_steps": 1, "max_grad_norm": 0.01}, model=model, optimizers=(optimizer, None))
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    moved = [parameter.detach() - before[name] for name, parameter in trainer.model.named_parameters()]
    step = torch.cat([tensor.flatten() for tensor in moved]).norm().item()
    (row,) = rows_of(trainer)
    assert row["grad_norm"] > 0.02
    assert row["grad_norm_clipped"] == pytest.approx(0.01, rel=1e-3)
    assert step == pytest.approx(row["grad_norm_clipped"], rel=1e-3)


def test_the_norm_of_a_module_is_that_of_all_its_gradients():
    model = torch.nn.Linear(2, 1)
    assert gradient_norm(model) == 0.0
    model.weight.grad, model.bias.grad = torch.tensor([[2.0, 3.0]]), torch.tensor([6.0])
    assert gradient_norm(model) == 7.0


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_programs_and_tokens_per_second_are_a_recount_over_the_same_time(make_tracked, share):
    settings = {"max_steps": 7, "num_ppo_epochs": 2, "logging_steps": 1, "num_generations": 2, "replay_share": share}
    trainer = make_tracked(settings)
    trainer.train()
    rows = rows_of(trainer)
    speeds = [row for row in rows if "speed/programs_per_second" in row]
    assert [row["step"] for row in speeds] == [1, 3, 5, 7]
    tokens_before = spent = 0.0
    for row in rows:
        spent += row["step_time"]
        if row not in speeds:
            continue
        programs = 8 * (1 - row.get("ppo/replay_frac", 0.0))
        seconds = programs / row["speed/programs_per_second"]
        assert spent <= seconds < spent + 1.0  # and the optimizer's own time
        assert row["speed/tokens_per_second"] * seconds == pytest.approx(row["num_tokens"] - tokens_before)
        tokens_before, spent = row["num_tokens"], 0.0
    if share:
        assert speeds[-1]["ppo/replay_frac"] == 0.5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's own figure to compare with")
def test_peak_memory_is_what_the_kernel_says():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    assert peak_memory_mb(torch.device("cpu")) == pytest.approx(int(line.split()[1]) / 1024, rel=0.05)


# --- The file ---


def test_what_is_not_finite_is_null_and_only_the_main_process_writes(make_tracked):
    trainer = make_tracked()
    tracker = trainer.callback_handler.callbacks[-1]
    tracker.on_log(trainer.args, trainer.state, trainer.control, logs={"reward": 0.5, "kl": float("nan")})
    trainer.state.is_world_process_zero = False
    tracker.on_log(trainer.args, trainer.state, trainer.control, logs={"reward": 1.0})
    (row,) = rows_of(trainer)
    assert (row["reward"], row["kl"]) == (0.5, None)


def test_rows_of_steps_that_were_trained_again_and_torn_lines_do_not_count(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    assert read_rows(path) == [] == read_rows(str(path))
    for row in ({"step": 0, "event": "begin"}, {"step": 1, "a": 1}, {"step": 2, "a": 2}, {"step": 3, "a": 3}):
        append_row(path, row)
    with path.open("a") as file:
        file.write('{"step": 4, "a"')  # killed here
    for row in ({"step": 2, "event": "begin"}, {"step": 3, "a": 30}, {"step": 3, "eval_a": 5}):
        append_row(path, row)
    assert read_rows(path) == [
        {"step": 1, "a": 1},
        {"step": 2, "a": 2},
        {"step": 3, "a": 30},
        {"step": 3, "eval_a": 5},
    ]
    assert len(path.read_text().splitlines()) == 8  # nothing was taken away


def test_a_resumed_run_has_each_step_once(make_tracked):
    first = make_tracked({"max_steps": 3, "save_strategy": "steps", "save_steps": 2})
    first.train()
    second = make_tracked({"max_steps": 4, "save_strategy": "no"})
    second.train(resume_from_checkpoint=str(folder_of(second) / "checkpoint-2"))
    assert [row["step"] for row in rows_of(second)] == [1, 2, 3, 4]
    lines = [json.loads(line) for line in (folder_of(second) / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 3, 4]
    assert [line["step"] for line in lines if line.get("event") == "begin"] == [0, 2]


# --- Completions ---


def test_completions_are_in_tensorboard_and_parquet_with_their_verdicts(make_tracked, sandbox):
    tokenizer = byte_tokenizer()
    tokenizer.padding_side = "left"
    dataset = task_prompts("12\nProgram:\n")
    trainer = make_tracked(
        {"log_completions": True, "num_completions_to_print": 0, "max_completion_length": 2, "num_ppo_epochs": 2},
        model=taught_llama(tokenizer),
        reward_funcs=[RewardCalculator(sandbox)],
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    trainer.train()
    table = pd.read_parquet(folder_of(trainer) / "completions" / "completions_00001.parquet")
    assert len(table) == 8
    assert {"program_status", "pairs_passed", "program_error", "program_reward", "advantage"} <= set(table.columns)
    texts = texts_of(trainer)
    assert list(texts) == [1]  # there is no new rollout in step 2
    shown = texts[1].split("program_reward")[1:]
    assert len(shown) == 4
    by_reward = table.sort_values("program_reward", ascending=False, kind="stable")
    for text, row in ((shown[0], by_reward.iloc[0]), (shown[-1], by_reward.iloc[-1])):
        assert text.startswith(f" `{row['program_reward']:.3f}`")
        assert f"program_status `{row['program_status']}`" in text and f"pairs_passed `{row['pairs_passed']}`" in text
        assert row["completion"].strip().splitlines()[0] in text


def test_a_completion_is_described_by_its_verdict_and_its_program():
    columns = {"program_reward": 0.5, "program_error": "", "program_status": "o`k", "task_id": "007bbfb7"}
    text = describe_completion(f"Here it is:\n```python\n{PROGRAM}\n```", columns)
    assert text == (f"task_id `007bbfb7` · program_reward `0.500` · program_status `o'k`\n\n```python\n{PROGRAM}\n```")
    assert describe_completion([{"role": "assistant", "content": "no idea"}], {}).endswith("```python\nno idea\n```")
    fenced = describe_completion('def transform(grid):\n    """```"""\n    return grid', {})
    assert "````python\n" in fenced and fenced.endswith("\n````")


@pytest.mark.parametrize(
    ("scores", "count", "chosen"),
    [
        ([0.1, 0.9, 0.5, 0.7, 0.3], 3, [1, 2, 0]),
        ([0.1, 0.9], 4, [1, 0]),
        ([0.5, 0.5, 0.5], 2, [0, 2]),
        ([0.1, 0.9], 1, [1]),
        ([0.1, 0.9], 0, []),
        ([], 4, []),
    ],
)
def test_programs_are_chosen_from_the_best_to_the_worst(scores, count, chosen):
    assert spread_out(scores, count) == chosen
