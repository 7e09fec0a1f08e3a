import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from disguises import disguised, is_copy, small_tasks
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from arcgym.data.augmentation import Symmetry
from arcgym.data.contamination import canonical_hash
from arcgym.data.formatting import TaskFormatter
from arcgym.data.mixture import TaskSpec, hold_out, load_mixture, parse_spec, select
from arcgym.data.synthetic import generate_tasks
from arcgym.errors import ConfigError


def test_specs_name_a_set_a_split_and_a_number():
    assert parse_spec("arc-agi-1/train") == TaskSpec("arc-agi-1", "train", None)
    assert parse_spec("arc-agi-1/train:20") == TaskSpec("arc-agi-1", "train", 20)
    assert parse_spec("some/folder/evaluation") == TaskSpec("some/folder", "evaluation", None)
    assert parse_spec("arc-agi-1/train:20").name == "arc-agi-1/train"


@pytest.mark.parametrize(
    "text", ["", "arc-agi-1", "arc-agi-1/test", "arc-agi-1/train:", "arc-agi-1/train:0", "a/train:x"]
)
def test_malformed_specs_are_refused_with_the_right_form(text):
    with pytest.raises(ConfigError, match="source/split:n"):
        parse_spec(text)


def test_a_set_in_both_lists_is_divided():
    mixture = load_mixture(["synthetic/train:30"], ["synthetic/train:20"], TaskFormatter(), holdout_share=0.25)
    assert (len(mixture.train), len(mixture.evaluation["synthetic/train"])) == (30, 20)
    trained = {task.task_id for task in mixture.train}
    assert not trained & {task.task_id for task in mixture.evaluation["synthetic/train"]}


def test_the_division_is_a_partition_and_repeats():
    tasks = list(generate_tasks(10, seed=1))
    train, held_out = hold_out(tasks, 0.3, seed=5)
    assert sorted(task.task_id for task in train + held_out) == sorted(task.task_id for task in tasks)
    assert len(held_out) == 3
    assert hold_out(tasks, 0.3, seed=5) == (train, held_out)
    assert hold_out(tasks, 0.3, seed=6)[1] != held_out
    assert select(tasks, 4, 5) == select(tasks, None, 5)[:4]
    with pytest.raises(ConfigError, match=r"1\.5"):
        hold_out(tasks, 1.5, seed=0)


def write(folder, part, tasks):
    (folder / part).mkdir(parents=True)
    for task in tasks:
        (folder / part / f"{task.task_id}.json").write_text(json.dumps(task.to_dict()))


def load(folder, **settings):
    return load_mixture([f"{folder}/train"], [f"{folder}/evaluation"], TaskFormatter(), **settings)


@pytest.mark.property(36)
@settings(max_examples=30)
@given(
    st.data(),
    st.lists(small_tasks(), min_size=2, max_size=5, unique_by=canonical_hash),
    st.lists(small_tasks(num_colours=2), max_size=2),
)
def test_no_evaluation_task_nor_a_disguise_of_one_is_trained_on(data, train, others):
    leaks = [data.draw(disguised(task)) for task in train[:-1] if data.draw(st.booleans())]
    train = [replace(task, task_id=f"train-{i}") for i, task in enumerate(train)]
    secret = [replace(task, task_id=f"secret-{i}") for i, task in enumerate([*leaks, *others])]
    assume(secret)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), "training", train)
        write(Path(folder), "evaluation", secret)
        try:
            mixture = load(folder)
        except ConfigError as exc:
            assert "are in the training data" in str(exc) or "is in the training data" in str(exc)
            try:
                mixture = load(folder, drop_contaminated=True)
            except ConfigError as exc:
                assert "No task is left in the training mixture" in str(exc)
                return
        evaluated = [task for tasks in mixture.evaluation.values() for task in tasks]
        assert {task.task_id for task in evaluated} == {task.task_id for task in secret}
        assert not any(is_copy(task, other) for task in mixture.train for other in evaluated)
        allowed = load(folder, allow_contamination=True)
        assert {task.task_id for task in allowed.train} == {task.task_id for task in train}


def test_leaks_are_refused_by_name_allowed_or_dropped(tmp_path):
    tasks = list(generate_tasks(4, seed=1))
    leak = replace(Symmetry("transpose").apply(tasks[2]), task_id="leak")
    write(tmp_path, "training", tasks)
    write(tmp_path, "evaluation", [leak])
    with pytest.raises(ConfigError, match=f"1 evaluation task is .*leak .copy: {tasks[2].task_id}"):
        load(tmp_path)
    assert len(load(tmp_path, allow_contamination=True).train) == 4
    kept = load(tmp_path, drop_contaminated=True).train
    assert {task.task_id for task in kept} == {tasks[i].task_id for i in (0, 1, 3)}
    with pytest.raises(ConfigError, match="contradict each other"):
        load(tmp_path, allow_contamination=True, drop_contaminated=True)


def test_what_is_left_without_leaks_must_not_be_nothing(tmp_path):
    task = next(generate_tasks(1, seed=1))
    write(tmp_path, "training", [replace(task, task_id="one")])
    write(tmp_path, "evaluation", [replace(task, task_id="other")])
    with pytest.raises(ConfigError, match="No task is left in the training mixture"):
        load(tmp_path, drop_contaminated=True)


def test_arc_agi_2_training_leaks_arc_agi_1():
    with pytest.raises(ConfigError, match="376 evaluation tasks are in the training data"):
        load_mixture(["arc-agi-2/train"], ["arc-agi-1/evaluation"], TaskFormatter())


def test_an_empty_mixture_says_what_to_raise():
    class Bytes:
        chat_template = None

        def __call__(self, text):
            return {"input_ids": list(text.encode())}

    with pytest.raises(ConfigError, match="max_prompt_tokens"):
        load_mixture(["synthetic/train:5"], [], TaskFormatter(tokenizer=Bytes(), budget=5))
