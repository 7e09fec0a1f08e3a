"""What a round is trained on: token ids as sampling would give them, copies of rare tasks, and nothing wrong."""

import numpy as np
import pytest
import tiny_policies
from selfplay_toys import flip_task, shifted
from trl import SFTConfig, SFTTrainer

from arcgym.data import TaskFormatter
from arcgym.data.contamination import overlap
from arcgym.errors import ConfigError, TaskError
from arcgym.models import load_tokenizer
from arcgym.models.sampling import SamplingConfig, sample_texts
from arcgym.programs import extract_program
from arcgym.runs.selfplay_choice import (
    ChoiceArguments,
    RelabelArguments,
    relabel_round,
    relabelled,
    relabelled_samples,
    solved_rates,
    solved_samples,
    synthetic_samples,
)
from arcgym.sandbox import ExecutionResult, Status
from arcgym.solutions import Solution, SolutionDatabase, task_inputs
from arcgym.training.sft import Sample, build_dataset, encode_program, encode_prompt, priority_copies

FLIP = tiny_policies.FLIP
FLIPS = (FLIP, "import numpy as np\n\n\ndef transform(grid):\n    return np.fliplr(grid)\n")
TURN = "def transform(grid):\n    return grid[::-1]\n"
CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def judged(task, program, run, **values):
    result = ExecutionResult(Status.OK, tuple(run(grid).astype(np.int8) for grid in task_inputs(task)))
    return Solution.from_result(task, program, result, created_at=1.0, **values)


def flipped(task, program=FLIP, **values):
    return judged(task, program, lambda grid: grid[:, ::-1], **values)


def turned(task, **values):
    return judged(task, TURN, lambda grid: grid[::-1], **values)


@pytest.fixture
def database(tmp_path):
    with SolutionDatabase(tmp_path / "solutions.sqlite") as database:
        yield database


def prompts(tasks):
    formatter = TaskFormatter()
    return {task.content_hash: Sample(task.task_id, formatter.format(task).prompt, "") for task in tasks}


# --- Token ids ---


def test_a_sample_is_the_prompt_as_sampling_has_it_then_what_the_policy_would_write():
    tokenizer = load_tokenizer("arcgym-tiny")
    task, program = (
        flip_task(0),
        "from arcgym.primitives import *\n\n\ndef transform(grid):\n    return flip_lr(grid)\n",
    )
    prompt = TaskFormatter().format(task).prompt
    row = build_dataset([Sample("a", prompt, program)], tokenizer).dataset[0]
    start = len(tokenizer(prompt)["input_ids"])
    assert row["input_ids"][:start] == tokenizer(prompt)["input_ids"]
    assert row["labels"] == [-100] * start + row["input_ids"][start:]
    assert row["input_ids"][-1] == tokenizer.eos_token_id and row["labels"][-1] == tokenizer.eos_token_id
    assert row["input_ids"].count(tokenizer.eos_token_id) == 1
    assert extract_program(tokenizer.decode(row["input_ids"][start:], skip_special_tokens=True)) == program


def test_the_ids_are_those_that_trl_makes_of_the_same_texts(tmp_path):
    """For a tokenizer that merges nothing across the border the two ways agree."""
    tokenizer = tiny_policies.byte_tokenizer()
    prompt = TaskFormatter().format(flip_task(0)).prompt
    ours = build_dataset([Sample("a", prompt, FLIP)], tokenizer).dataset
    from datasets import Dataset

    trainer = SFTTrainer(
        tiny_policies.random_llama(tokenizer),
        SFTConfig(str(tmp_path), max_length=None, report_to="none", use_cpu=True, bf16=False, disable_tqdm=True),
        train_dataset=Dataset.from_list([{"prompt": prompt, "completion": FLIP}]),
        processing_class=tokenizer,
    )
    assert trainer.train_dataset[0]["input_ids"] == ours[0]["input_ids"]
    assert trainer.train_dataset[0]["labels"] == ours[0]["labels"]


def test_a_policy_that_has_learned_a_sample_writes_its_program_and_stops():
    import torch

    tokenizer = tiny_policies.byte_tokenizer()
    model = tiny_policies.random_llama(tokenizer)
    prompt = TaskFormatter().format(flip_task(0)).prompt
    row = build_dataset([Sample("a", prompt, TURN)], tokenizer).dataset[0]
    ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    config = SamplingConfig(num_samples=1, temperature=0.0, max_new_tokens=64)
    assert sample_texts(model, tokenizer, [encode_prompt(tokenizer, prompt)], ["a"], config) == [[TURN]]


def test_a_chat_model_learns_to_answer_with_a_code_block():
    tokenizer = tiny_policies.byte_tokenizer()
    tokenizer.chat_template = CHAT
    prompt = TaskFormatter(style="chat", tokenizer=tokenizer).format(flip_task(0)).prompt
    row = build_dataset([Sample("a", prompt, FLIP)], tokenizer).dataset[0]
    learned = tokenizer.decode([token for token in row["labels"] if token != -100])
    assert learned == f"```python\n{FLIP}```<eos>"
    assert tokenizer.decode(row["input_ids"]).endswith(f"<assistant>{learned}")
    assert extract_program(learned.removesuffix("<eos>")) == FLIP


def test_samples_that_are_too_long_are_left_out_and_none_is_cut():
    tokenizer = tiny_policies.byte_tokenizer()
    samples = [Sample("a", "short\n", FLIP), Sample("b", "long" * 50, FLIP)]
    kept = build_dataset(samples, tokenizer, max_length=20)
    assert kept.too_long == 1 and len(kept.dataset) == 1
    assert kept.dataset[0]["input_ids"][-1] == tokenizer.eos_token_id
    length = len(kept.dataset[0]["input_ids"])
    assert build_dataset(samples[:1], tokenizer, max_length=length).too_long == 0
    assert build_dataset(samples[:1], tokenizer, max_length=length - 1).too_long == 1


def test_prompts_are_learned_where_that_is_asked_for():
    tokenizer = tiny_policies.byte_tokenizer()
    row = build_dataset([Sample("a", "abc\n", FLIP)], tokenizer, learn_prompts=True).dataset[0]
    assert row["labels"] == row["input_ids"]


def test_a_program_ends_with_one_line_feed_however_it_was_stored():
    tokenizer = tiny_policies.byte_tokenizer()
    assert encode_program(tokenizer, TURN + "\n\n", is_chat=False) == encode_program(
        tokenizer, TURN.rstrip(), is_chat=False
    )


# --- Priority ---


def test_without_priority_each_program_is_one_sample():
    assert priority_copies({"a": 8, "b": 1}, {"a": 0.9, "b": 0.001}, 0.0) == {"a": 8, "b": 1}


def test_rarely_solved_tasks_get_more_and_the_number_of_samples_stays():
    # Weights 8 · 1 and 1 · (1/64)^(-1/2) = 8: half of the 9 samples each
    assert priority_copies({"a": 8, "b": 1}, {"a": 1.0, "b": 1 / 64}, 0.5) == {"a": 4, "b": 4}
    # 1 · 1 and 1 · 4: 2/5 and 8/5 of two samples
    assert priority_copies({"a": 1, "b": 1}, {"a": 1.0, "b": 0.25}, 1.0) == {"a": 1, "b": 2}


def test_no_task_is_left_out_for_being_easy():
    copies = priority_copies({"easy": 1, "rare": 1}, {"easy": 1.0, "rare": 1e-6}, 1.0)
    assert copies["easy"] == 1 and copies["rare"] == 2


@pytest.mark.parametrize(("known", "rate", "priority"), [(0, 0.5, 1.0), (1, 0.0, 1.0), (1, 0.5, -1.0)])
def test_numbers_out_of_range_are_refused(known, rate, priority):
    with pytest.raises(ValueError, match="give"):
        priority_copies({"a": known}, {"a": rate}, priority)


# --- Right programs ---


def test_only_right_programs_of_the_training_tasks_are_learned(database):
    mine, other = flip_task(0), flip_task(1)
    database.add([flipped(mine), turned(mine), flipped(other)])
    samples = solved_samples(database, prompts([mine]), ChoiceArguments(replay_priority=0.0), {})
    assert [(sample.task_id, sample.program, sample.kind) for sample in samples] == [("task0", FLIP, "solved")]
    assert samples[0].prompt == TaskFormatter().format(mine).prompt


def test_programs_of_a_task_are_capped_and_repeated_by_priority(database):
    easy, rare = flip_task(0), flip_task(1)
    database.add([*(flipped(easy, program) for program in FLIPS), flipped(rare)])
    rates = {easy.content_hash: 1.0, rare.content_hash: 0.04}

    def learned(**settings):
        found = solved_samples(database, prompts([easy, rare]), ChoiceArguments(**settings), rates)
        return {name: sum(sample.task_id == name for sample in found) for name in ("task0", "task1")}

    assert learned(per_task=8, replay_priority=0.0, diversity=False) == {"task0": 2, "task1": 1}
    assert learned(per_task=1, replay_priority=0.0, diversity=False) == {"task0": 1, "task1": 1}
    # Weights 2 and 1 / 0.2 = 5 of three samples: 6/7 and 15/7
    assert learned(per_task=8, replay_priority=0.5, diversity=False) == {"task0": 1, "task1": 2}


def test_diversity_prefers_a_program_of_another_kind_to_a_shorter_near_double(database):
    task = flip_task(0)
    longer = "def transform(grid):\n    rows, columns = grid.shape\n    return grid[0:rows, ::-1]\n"
    database.add([flipped(task), flipped(task, FLIP.replace("grid[:,", "grid[0:,")), flipped(task, longer)])

    def learned(diversity):
        settings = ChoiceArguments(per_task=2, replay_priority=0.0, diversity=diversity)
        return {sample.program for sample in solved_samples(database, prompts([task]), settings, {})}

    assert longer in learned(True)
    assert longer not in learned(False)


def test_rates_are_taken_from_what_is_stored(database):
    task = flip_task(0)
    database.add([flipped(task), turned(task), judged(task, "def transform(grid):\n    return grid\n", np.copy)])
    assert solved_rates(database, [task.content_hash]) == {task.content_hash: 2 / 5}


# --- Relabelling ---


def relabel_with(database, training, evaluation=(), *, generation=0, **settings):
    return relabel_round(
        database, training, evaluation, RelabelArguments(**settings), generation=generation, seed=generation
    )


def test_a_wrong_program_is_right_for_the_task_of_its_outputs(database):
    task = flip_task(0)
    database.add([turned(task)])
    assert relabel_with(database, [task]) == 1
    [(new, solution)] = relabelled(database, [task])
    assert solution.is_solved and solution.parent == f"{task.content_hash}/{turned(task).program_hash}"
    for old, pair in zip((*task.train, *task.test), (*new.train, *new.test), strict=True):
        assert (pair.input == old.input).all() and (pair.output == old.input[::-1]).all()
    [sample] = relabelled_samples(database, [task], TaskFormatter(), 5)
    assert sample.prompt == TaskFormatter().format(new).prompt != TaskFormatter().format(task).prompt
    assert (sample.program, sample.kind) == (TURN, "relabelled")
    assert relabelled(database, [flip_task(1)]) == [], "of another task"


def test_nothing_is_relabelled_that_is_right_or_fits_what_the_prompt_shows(database):
    task = flip_task(0)
    shown = {grid.tobytes() for grid in task_inputs(task)[:3]}
    database.add([flipped(task), judged(task, TURN, lambda grid: grid[:, ::-1] if grid.tobytes() in shown else grid)])
    assert relabel_with(database, [task]) == 0


def test_none_relabels_nothing(database):
    database.add([turned(flip_task(0))])
    assert relabel_with(database, [flip_task(0)], relabel="none") == 0


def test_only_programs_of_the_round_are_relabelled_and_a_task_once(database):
    task = flip_task(0)
    database.add([turned(task, generation=0)])
    assert relabel_with(database, [task], generation=1) == 0
    assert relabel_with(database, [task], generation=0) == 1
    assert relabel_with(database, [task], generation=0) == 1, "done again, as after a kill, it is the same"
    assert len(relabelled(database, [task])) == 1
    database.add([turned(task, generation=1, log_prob=-1.0)])  # a better record of the same program
    assert relabel_with(database, [task], generation=1) == 0, "known from the round before"


def test_caps_per_task_and_program_hold(database):
    tasks = [flip_task(seed) for seed in range(4)]
    database.add([turned(task) for task in tasks])
    assert relabel_with(database, tasks, relabel_per_program=3) == 3
    assert relabel_with(database, tasks, relabel_per_program=9) == 4


@pytest.mark.parametrize("how", ["uniform", "greedy", "greedy_diverse"])
def test_every_choice_relabels(database, how):
    database.add([turned(flip_task(0))])
    assert relabel_with(database, [flip_task(0)], relabel=how) == 1


def test_an_evaluation_task_is_never_relabelled(database):
    task = flip_task(0)
    database.add([turned(task)])
    with pytest.raises(TaskError, match="evaluate on"):
        relabel_with(database, [task], [task])


def test_the_newest_relabelled_programs_are_learned_first(database):
    old, new = flip_task(0), flip_task(1)
    database.add([turned(old, generation=0), turned(new, generation=1)])
    for generation in (0, 1):
        relabel_with(database, [old, new], generation=generation)
    samples = relabelled_samples(database, [old, new], TaskFormatter(), 1)
    assert [sample.task_id.split("~")[0] for sample in samples] == ["task1"]


def test_relabelled_tasks_whose_prompt_is_too_long_are_passed_over(database):
    task = flip_task(0, shifted)
    database.add([turned(task)])
    relabel_with(database, [task])
    tokenizer = tiny_policies.byte_tokenizer()
    assert relabelled_samples(database, [task], TaskFormatter(tokenizer=tokenizer, budget=20), 5) == []


# --- Synthetic tasks ---


def test_synthetic_tasks_are_new_each_round_and_none_that_is_evaluated_on():
    formatter = TaskFormatter()
    first = synthetic_samples(12, [], formatter, seed=3, number=0)
    assert first == synthetic_samples(12, [], formatter, seed=3, number=0)
    second = synthetic_samples(12, [], formatter, seed=3, number=1)
    assert {sample.prompt for sample in first}.isdisjoint(sample.prompt for sample in second)
    assert all(sample.kind == "synthetic" and sample.program for sample in first)
    from arcgym.models.pretraining import TaskMix

    drawn = list(TaskMix(12, seed=3, max_side=12, transplant_share=0.35, donor_side=16).draw(0, 12))
    secret = next(task for task in drawn if formatter.format(task).prompt == first[0].prompt)
    without = synthetic_samples(12, [secret], formatter, seed=3, number=0)
    assert overlap([secret], [secret]) and first[0] not in without and first[1] in without


def test_settings_out_of_range_are_refused():
    for settings in ({"per_task": 0}, {"replay_priority": -0.5}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            ChoiceArguments(**settings)
    for settings in ({"relabel_per_task": 0}, {"relabel_share": 1.0}, {"synthetic_samples": -1}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            RelabelArguments(**settings)
