import pytest

from arcgym.data.formatting import TaskFormatter
from arcgym.data.mixture import TaskSpec, hold_out, load_mixture, parse_spec, refuse_overlap, select
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


def test_leaks_are_refused_by_name_unless_allowed():
    tasks = list(generate_tasks(4, seed=1))
    with pytest.raises(ConfigError, match=tasks[2].task_id):
        refuse_overlap(tasks, [tasks[2]])
    refuse_overlap(tasks, [tasks[2]], allow=True)
    refuse_overlap(tasks[:2], tasks[2:])


def test_arc_agi_2_training_leaks_arc_agi_1():
    with pytest.raises(ConfigError, match="evaluation tasks are in the training data"):
        load_mixture(["arc-agi-2/train"], ["arc-agi-1/evaluation"], TaskFormatter())


def test_an_empty_mixture_says_what_to_raise():
    class Bytes:
        chat_template = None

        def __call__(self, text):
            return {"input_ids": list(text.encode())}

    with pytest.raises(ConfigError, match="max_prompt_tokens"):
        load_mixture(["synthetic/train:5"], [], TaskFormatter(tokenizer=Bytes(), budget=5))
