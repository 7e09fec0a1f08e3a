import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.data.formatting import TaskFormatter
from arcgym.data.synthetic import generate_tasks
from arcgym.models import build_tokenizer
from arcgym.models.pretraining import TaskMix, bucketed_order, build_curriculum, tokenise, write_card

TOKENIZER = build_tokenizer(512)


def test_labels_are_the_program_and_its_end():
    (task,) = generate_tasks(1, seed=2)
    sample = tokenise(task, TaskFormatter(), TOKENIZER, grid_loss=False)
    labelled = [token for token in sample["labels"] if token != -100]
    assert TOKENIZER.decode(labelled) == task.program + TOKENIZER.eos_token
    assert sample["input_ids"][-len(labelled) :] == labelled


def test_grid_loss_labels_every_output_but_the_first():
    (task,) = generate_tasks(1, seed=2)
    sample = tokenise(task, TaskFormatter(), TOKENIZER, grid_loss=True)
    labelled = TOKENIZER.decode([token for token in sample["labels"] if token != -100])
    outputs = ["".join("".join(map(str, row)) + "\n" for row in pair.output.tolist()) for pair in task.train[1:]]
    headers = ["Input:\n"] * (len(outputs) - 1) + ["Test:\n"]  # where an output ends is worth learning too
    expected = "".join(output + header for output, header in zip(outputs, headers, strict=True))
    assert labelled == expected + task.program + TOKENIZER.eos_token


@given(st.lists(st.integers(1, 600), min_size=1, max_size=500), st.integers(1, 16), st.integers(0, 5))
def test_the_order_is_a_permutation_that_keeps_windows(lengths, batch_size, seed):
    order = bucketed_order(np.array(lengths), batch_size, seed)
    assert sorted(order) == list(range(len(lengths)))
    window = 64 * batch_size
    assert all(place // window == index // window for place, index in enumerate(order))


def test_batches_hold_similar_lengths():
    lengths = np.random.default_rng(0).integers(10, 500, size=64 * 8)
    spread = lengths[bucketed_order(lengths, 8, 0)].reshape(-1, 8).std(axis=1).mean()
    assert spread < lengths.std() / 10


def test_the_curriculum_starts_with_small_one_step_tasks(tmp_path):
    mix = TaskMix(num_tasks=256, seed=1, warmup_share=0.5, composed_share=1.0, max_side=10, max_tokens=2000)
    curriculum = build_curriculum(TOKENIZER, mix, batch_size=1, grid_loss=False, num_proc=1)
    lengths = [len(row) for row in curriculum.dataset["input_ids"]]
    assert curriculum.num_tokens == sum(lengths)
    programs = ["".join(TOKENIZER.decode([t for t in row if t != -100])) for row in curriculum.dataset["labels"]]
    steps = [program.count("    grid = ") for program in programs]
    assert set(steps[:128]) == {1} and set(steps[128:]) == {3}
    write_card(tmp_path, curriculum, [{"loss": 0.5}, {"train_loss": 1.0}], parameters=1234567)
    card = (tmp_path / "README.md").read_text()
    assert "1,234,567" in card and curriculum.data_hash in card and "0.500" in card


@pytest.mark.parametrize("seed", [1, 2])
def test_no_sample_is_too_long(seed):
    mix = TaskMix(num_tasks=20, seed=seed, composed_share=0.5, max_side=12, transplant_share=0.5, max_tokens=150)
    curriculum = build_curriculum(TOKENIZER, mix, batch_size=2, grid_loss=True, num_proc=1)
    assert all(len(row) <= 150 for row in curriculum.dataset["input_ids"])


def test_the_mix_gives_the_share_of_real_inputs_that_was_asked_for():
    tasks = list(TaskMix(num_tasks=200, seed=4, transplant_share=0.5, donor_side=12).draw(0, 200))
    real = sum(task.task_id.startswith("arc-") for task in tasks)
    assert 70 <= real <= 130


def test_tasks_of_the_mix_depend_on_their_number_and_the_settings_alone():
    mix = TaskMix(num_tasks=40, seed=4, transplant_share=0.5, donor_side=10)
    first, again = ([task.content_hash for task in mix.draw(20, 40)] for _ in range(2))
    assert first == again
