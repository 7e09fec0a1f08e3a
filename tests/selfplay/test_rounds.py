"""Rounds of self-play on a policy that knows five programs: what they store, learn, count, and how they go on."""

import json
import shutil

import pytest
from selfplay_toys import Toy, contents, figures, load_recipe

from arcgym.data import TaskLoader
from arcgym.errors import ConfigError
from arcgym.evaluation import EvaluationReport
from arcgym.models import CodeLLM
from arcgym.runs import finetuning, selfplay
from arcgym.runs.job import hash_weights
from arcgym.runs.selfplay_sampling import join_diversity
from arcgym.selfplay import measure_diversity
from arcgym.solutions import SolutionDatabase


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy(tmp_path_factory.mktemp("selfplay"))


@pytest.fixture(scope="module")
def whole(toy):
    """A run of two rounds, never interrupted."""
    return toy.run("selfplay", "whole")


def test_every_round_has_its_figures(whole):
    first, second = figures(whole)
    for row in (first, second):
        assert (row["tasks"], row["sampled"]) == (6, 48)
        assert row["sampled"] >= row["valid"] >= row["fits"] >= row["right"] >= row["tasks_solved"] > 0
        assert row["train_samples"] == sum(row["train_kinds"].values()) > 0 and row["loss"] > 0
    assert second["tasks_solved_so_far"] >= max(first["tasks_solved"], second["tasks_solved"])
    assert first["relabelled"] > 0
    name = next(iter(first["evaluation"]))
    assert second["evaluation"][name]["solved_before"] == first["evaluation"][name]["solved_after"]
    after = EvaluationReport.load(next((whole / "eval").glob("round-1-*.json")))
    assert second["evaluation"][name]["solved_after"] == after.aggregates["solved"]


def test_the_summary_is_that_of_any_run(whole, toy):
    summary = json.loads((whole / "summary.json").read_text())
    name = toy.settings["eval_tasks"][0]
    assert summary["before"][name]["tasks"] == summary["after"][name]["tasks"] == 2
    assert (summary["programs"], summary["train_tasks"], summary["stopped_by"]) == (96, 6, "rounds")
    assert [row["round"] for row in summary["rounds"]] == [0, 1]


def test_the_database_holds_what_ran_and_the_tallies_count_it(whole, toy):
    tasks = {task.content_hash: task for task in TaskLoader().load(str(toy.folder / "tasks"), "train")}
    with SolutionDatabase(whole / "solutions.sqlite", create=False) as database:
        stored = list(database.after(0))
    originals = [solution for solution in stored if solution.parent is None]
    assert all(solution.status.value == "ok" and solution.task_hash in tasks for solution in originals)
    right = {solution.task_hash for solution in originals if solution.is_solved}
    counted = set()
    for number in (0, 1):
        for tally in json.loads((whole / "rounds" / str(number) / "sampled.json").read_text())["tallies"]:
            assert tally["sampled"] == 8 and tally["distinct_right"] == (tally["right"] > 0), "one program is known"
            counted |= {tally["task_hash"]} if tally["right"] else set()
    assert counted == right
    for task_hash in right:
        pair = tasks[task_hash].train[0]
        assert (pair.input[:, ::-1] == pair.output).all()
    parents = {solution.key for solution in originals if not solution.is_solved}
    children = [solution for solution in stored if solution.parent is not None]
    assert children and {solution.parent for solution in children} <= parents


def test_the_policy_has_learned_and_is_one_that_recipes_load(whole, toy):
    trained = CodeLLM.load(str(whole))
    last = json.loads((whole / "rounds" / "1" / "trained.json").read_text())
    assert hash_weights(trained.model) == last["weights"][0]
    assert last["weights"][0] != hash_weights(CodeLLM.load(str(toy.folder / "policy")).model)
    assert trained.model.config.use_cache
    assert not (whole / "rounds" / "0" / "policy").exists() and (whole / "rounds" / "1" / "policy").exists()


def test_nothing_of_an_evaluation_task_is_learned_or_stored(whole, toy):
    secret = TaskLoader().load(str(toy.folder / "tasks"), "evaluation")
    stored = json.dumps(contents(whole))
    for number in (0, 1):
        samples = json.loads((whole / "rounds" / str(number) / "samples.json").read_text())
        assert samples and not {sample["task_id"] for sample in samples} & {task.task_id for task in secret}
    assert not any(task.content_hash in stored for task in secret)


def test_a_task_that_is_evaluated_on_is_refused_whatever_is_allowed(toy):
    shutil.copytree(toy.folder / "tasks" / "evaluation", toy.folder / "leaked" / "training")
    train = [f"{toy.folder}/tasks/train", f"{toy.folder}/leaked/train"]
    with pytest.raises(ConfigError, match="training data"):
        toy.run("selfplay", "shared", train_tasks=train, allow_contamination=True)
    assert not (toy.folder / "shared" / "rounds.jsonl").exists()


class Stopped(Exception):
    pass


def stop_at(monkeypatch, place, count):
    """Let the run end at the count-th call of a function."""
    owner, name = place
    work, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(None)
        if len(calls) == count:
            raise Stopped
        return work(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


PLACES = {
    "sampling": ((selfplay.RoundSampler, "_sample_chunk"), 2),
    "storing": ((SolutionDatabase, "add"), 3),
    "second_sampling": ((selfplay.RoundSampler, "_sample_chunk"), 4),
    "training": ((finetuning.SFTTrainer, "train"), 2),
    "saving": ((finetuning.FinetuningJob, "_save"), 1),
    "evaluating": ((finetuning.PerformanceEvaluator, "evaluate"), 3),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not(toy, whole, monkeypatch, place):
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, *PLACES[place])
        toy.run("selfplay", place)
    assert len(list((toy.folder / place).glob("rounds/1/evaluated.json"))) == 0, "it was stopped on its way"
    folder = toy.run("selfplay", place)
    assert contents(folder) == contents(whole)
    assert figures(folder) == figures(whole)
    assert hash_weights(CodeLLM.load(str(folder)).model) == hash_weights(CodeLLM.load(str(whole)).model)


def test_a_finished_run_goes_on_when_there_are_to_be_more_rounds(toy, whole):
    folder = toy.folder / "longer"
    first = toy.run("selfplay", "longer", num_rounds=1)
    assert figures(first) == figures(whole)[:1]
    assert figures(toy.run("selfplay", "longer")) == figures(whole)
    assert contents(folder) == contents(whole)


def test_other_settings_do_not_go_on_with_a_run(toy, whole):
    copy = toy.folder / "other"
    shutil.copytree(whole, copy)
    with pytest.raises(ConfigError, match="another value of learning_rate, per_task"):
        toy.run("selfplay", "other", learning_rate=5e-4, per_task=3)


def test_a_checkpoint_to_resume_from_is_refused(toy):
    with pytest.raises(ConfigError, match="goes on by itself"):
        toy.run("selfplay", "resumed", resume_from_checkpoint="auto")


def test_without_learning_rounds_are_one_long_round(toy):
    """The control of a comparison at equal numbers of programs."""
    parts = toy.run("selfplay", "parts", learn=False, relabel="none", samples_per_task=4)
    one = toy.run("selfplay", "one", learn=False, relabel="none", num_rounds=1)

    def without_round(folder):
        return [
            {k: v for k, v in row.items() if k not in ("generation", "source_revision")} for row in contents(folder)
        ]

    assert without_round(parts) == without_round(one)
    assert figures(parts)[1]["tasks_solved_so_far"] == figures(one)[0]["tasks_solved"]
    assert sum(row["right"] for row in figures(parts)) == figures(one)[0]["right"]
    assert figures(parts)[1]["loss"] is None and not (parts / "rounds" / "0" / "policy").exists()
    summary = json.loads((parts / "summary.json").read_text())
    assert [s["solved"] for s in summary["before"].values()] == [s["solved"] for s in summary["after"].values()]


def test_without_relabelling_right_programs_alone_are_learned(toy):
    folder = toy.run("selfplay", "rejection", relabel="none", num_rounds=1)
    [row] = figures(folder)
    assert row["relabelled"] == 0 and set(row["train_kinds"]) == {"solved"}
    assert all(solution["parent"] is None for solution in contents(folder))


def test_rounds_from_the_base_train_the_policy_that_the_run_began_with(toy, whole):
    folder = toy.run("selfplay", "base", sft_from="base")
    recipe = load_recipe("selfplay")
    from arcgym.runs.parsing import parse_config
    from arcgym.training.sft import Sample

    values = parse_config([*recipe.OWN, *recipe.COMMON], toy.words("by_hand"))
    job = finetuning.FinetuningJob(finetuning.CommonSettings(*values[3:]), *values[:3])
    samples = [Sample(**row) for row in json.loads((folder / "rounds" / "1" / "samples.json").read_text())]
    by_hand = job.train(job.load_policy(), samples, folder=toy.folder / "by_hand" / "policy", seed=1)
    assert by_hand.hashes == json.loads((folder / "rounds" / "1" / "trained.json").read_text())["weights"]
    assert by_hand.hashes != json.loads((whole / "rounds" / "1" / "trained.json").read_text())["weights"]


def test_rounds_end_when_programs_differ_too_little(toy):
    folder = toy.run("selfplay", "uniform", diversity_floor=1.0, learn=False)
    assert len(figures(folder)) == 1
    assert json.loads((folder / "summary.json").read_text())["stopped_by"] == "diversity"


def test_leave_one_out_does_not_look_at_test_outputs(toy):
    folder = toy.run("selfplay", "one_out", learn=False, num_rounds=1, hidden_pairs="leave_one_out")
    verdicts = [json.loads(row["verdicts"]) for row in contents(folder) if row["parent"] is None]
    assert verdicts and all(part == "train" for found in verdicts for part, *_ in found)


def test_diversity_of_tasks_adds_up_to_that_of_the_round(whole):
    with SolutionDatabase(whole / "solutions.sqlite", create=False) as database:
        pool = [solution for solution in database.after(0) for _ in range(1 + len(solution.program) % 3)]
    by_task = {solution.task_hash: [s for s in pool if s.task_hash == solution.task_hash] for solution in pool}
    joined, measured = join_diversity(map(measure_diversity, by_task.values())), measure_diversity(pool)
    assert joined.programs == measured.programs and joined.distinct_signatures == measured.distinct_signatures
    assert joined.entropy == pytest.approx(measured.entropy)
    assert joined.relative_entropy == pytest.approx(measured.relative_entropy)


@pytest.mark.parametrize("setting", ["num_rounds", "chunk_size", "diversity_patience"])
def test_counts_below_one_are_refused(setting):
    with pytest.raises(ConfigError, match=setting):
        selfplay.SelfPlayArguments(**{setting: 0})
