"""The report: it follows from the run's files, it says what is missing, and nothing in a file can harm it."""

import json
import logging
import re
from dataclasses import replace

import pandas as pd
import pytest
from report_runs import AFTER, BEFORE, FLIP, FLIP_PROGRAM, HALF, SET, WRONG, Page, evaluate, real_tasks, write_run

from arcgym.data.tasks import Task
from arcgym.errors import ArcGymError, ConfigError
from arcgym.evaluation import EvaluationReport
from arcgym.evaluation.comparison import compare_reports
from arcgym.evaluation.report import end_with_report, export_figures, write_report
from arcgym.evaluation.report.charts import COLOURS, INK, chart_style
from arcgym.evaluation.report.collect import read_run, solved_by_step, task_history
from arcgym.evaluation.report.curves import curriculum_charts, training_charts
from arcgym.evaluation.report.gallery import MAX_PROGRAM, highlight
from arcgym.grids import grids_equal
from arcgym.training.metrics import append_row

TASKS = (FLIP, HALF, WRONG)
LONG = "x = 1\n" * MAX_PROGRAM


@pytest.fixture(scope="module")
def reports(sandbox):
    tasks = real_tasks(*TASKS)
    return evaluate(BEFORE, sandbox, tasks), evaluate(AFTER, sandbox, tasks)


@pytest.fixture(scope="module")
def finished(reports, tmp_path_factory):
    """A run that nothing is missing of; not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "finished", *reports)


@pytest.fixture
def run(reports, tmp_path):
    """The same, to be damaged."""
    return write_run(tmp_path / "run", *reports)


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    return Page(write_report([finished], tmp_path_factory.mktemp("page") / "report.html").read_text())


def rendered(runs, tmp_path, **options):
    return Page(write_report(runs, tmp_path / "page.html", **options).read_text())


def rows_of(table_text):
    return [line.strip() for line in table_text.split("\n") if line.strip()]


def grids_of(page):
    (text,) = page.find("script", id="grids")
    return json.loads(text)


def decode(text):
    return [[int(cell) for cell in row] for row in text.split("/")]


# --- What the page says ---


def test_the_overview_states_the_figures(page):
    (cards,) = page.find("dl", class_="cards")
    assert f"solved of {SET}" in cards
    assert "1 / 3" in cards
    assert "33.3%, 95 % interval 6.1% to 79.2%; before training: 1" in cards
    assert "0.750" in cards and "first tenth 0.125" in cards
    assert "1 min 5 s" in cards


def test_lists_name_won_and_lost_tasks(page):
    (lists,) = page.find("div", class_="lists")
    titles = ("Newly solved", "No longer solved", "Hardest solved", "Nearly solved", "Hardest in training")
    parts = re.split("|".join(titles), lists)[1:]
    assert FLIP in parts[0] and WRONG not in parts[0]
    assert WRONG in parts[1] and FLIP not in parts[1]
    assert FLIP in parts[2]
    assert "two" in parts[4] and "1 of 2 tasks were never solved" in parts[4]


def test_the_gallery_holds_each_task(page):
    entries = {attributes["aria-labelledby"]: attributes for tag, attributes in page.elements if tag == "article"}
    titles = {
        text: attributes.get("id")
        for (tag, attributes), text in zip(page.elements, page.texts, strict=True)
        if tag == "h3"
    }
    outcomes = {name: entries[titles[name]]["data-outcome"].split() for name in TASKS}
    assert outcomes[FLIP] == ["solved", "new", "differ"]
    assert outcomes[WRONG] == ["unsolved", "lost", "differ"]
    assert outcomes[HALF] == ["unsolved"]


def test_grids_travel_unchanged(page, reports):
    grids = grids_of(page)
    for number, (task, before, after) in enumerate(
        zip(real_tasks(*TASKS), reports[0].records, reports[1].records, strict=True)
    ):
        found = grids[str(number)]
        for part, pairs in (("d", task.train), ("t", task.test)):
            assert [[decode(grid) for grid in pair] for pair in found[part]] == [
                [pair.input.tolist(), pair.output.tolist()] for pair in pairs
            ]
        for record, tests in zip((before, after), found["p"], strict=True):
            assert [[decode(grid) for grid in attempts] for attempts in tests] == [
                [[list(row) for row in grid] for grid in attempts] for attempts in record.predictions
            ]


def test_the_comparison_is_that_of_arcgym_compare(page, reports):
    before, after = ({SET: report} for report in reports)
    (found,) = compare_reports({"before training": before, "after training": after})
    rows = [text for text in page.find("table") if "McNemar" not in text and "p, Holm" in text]
    cells = rows_of(rows[0].replace(SET, f"\n{SET}\n"))
    assert SET in cells
    difference = found.differences["solved_frac"]
    assert f"{difference.value:+.1%} ({difference.low:+.1%} to {difference.high:+.1%})" in rows[0]
    assert f"{found.p_value:.2g}" in rows[0]


def test_collapse_and_curriculum_are_told(page):
    tables = page.find("table")
    assert any("reward -0.4 (limit 0.1)" in table and "warning" in table for table in tables)
    assert len(page.find("figure", id="figure-curriculum")) == 1


def test_the_page_needs_nothing_else(finished, tmp_path):
    html = write_report([finished], tmp_path / "page.html").read_text()
    links = [
        attributes[name]
        for _, attributes in Page(html).elements
        for name in ("href", "src", "xlink:href", "action")
        if name in attributes
    ]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in html
    assert set(re.findall(r"url\(([^)]{0,4})", html)) <= {f"#{name[:3]}" for name in re.findall(r'id="([^"]+)"', html)}


def test_the_same_run_gives_the_same_page(finished, tmp_path):
    first, second = (write_report([finished], tmp_path / f"{n}.html").read_text() for n in (1, 2))
    assert [line for line in first.splitlines() if "Made by" not in line] == [
        line for line in second.splitlines() if "Made by" not in line
    ]


def test_identifiers_are_unique(page):
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) > 50
    assert sorted(set(names)) == sorted(names)


def test_every_field_has_a_label(page):
    fields = {attributes["id"] for tag, attributes in page.elements if tag in ("select", "input")}
    assert {"theme", "digits", "search", "outcome", "set", "band", "sort"} <= fields
    assert fields == {attributes["for"] for tag, attributes in page.elements if tag == "label"}
    assert all(page.find("label"))


# --- What is hostile ---


def test_names_and_programs_cannot_leave_their_place(reports, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    program = f"def transform(grid):\n    return \"{evil}\" + '&lt;'  # {evil}\n"
    record = replace(reports[1].records[0], task_id=evil, best_program=program, solving_program="", reason=evil)
    record = replace(record, family=evil, source=evil)
    task = replace(real_tasks(FLIP)[0], task_id=evil)
    report = replace(reports[1], name=f"{evil}/train", records=(record,))
    report.save(tmp_path / "evil.json")
    page = rendered([tmp_path / "evil.json"], tmp_path, tasks={f"{evil}/train": [task]})
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert evil in page.find("h3")
    assert program.strip("\n") in page.find("code")


def test_scripts_are_refused_but_the_page_s_own(page):
    import base64
    import hashlib

    (policy,) = (
        attributes["content"] for tag, attributes in page.elements if tag == "meta" and "http-equiv" in attributes
    )
    own = page.find("script")[-1]
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize(
    "program",
    [FLIP_PROGRAM, "", "\n\n  x = '''<b>", "def f(:\n\t& < > \" '", "a<b>c&amp;d", "f'{a!r:>{b}}' $ ? \x00 é"],
)
def test_highlighting_changes_no_character(program):
    page = Page(f"<code>{highlight(program)}</code>")
    assert page.find("code") == [program]


def test_a_huge_program_is_cut():
    (text,) = Page(f"<code>{highlight(LONG)}</code>").find("code")
    assert len(text) < MAX_PROGRAM + 100
    assert text.endswith(f"… {5 * MAX_PROGRAM} more characters")


# --- What is missing or damaged ---


def test_an_evaluation_alone_is_enough(reports, tmp_path):
    reports[1].save(tmp_path / "one.json")
    page = rendered([tmp_path / "one.json"], tmp_path)
    assert any("No training is there" in text for text in page.find("p", class_="note"))
    assert len(page.find("article")) == 3


def test_each_missing_part_is_named(run, tmp_path):
    for name in ("config.yaml", "env.json", "summary.json"):
        (run / name).unlink()
    for file in [*(run / "eval").iterdir(), *(run / "completions").iterdir()]:
        file.unlink()
    (text,) = rendered([run], tmp_path).find("details", class_="missing")
    for name in ("config.yaml", "env.json", "summary.json", "eval/", "completions/"):
        assert f"No {name}" in text
    assert "metrics.jsonl" not in text


def test_a_run_that_has_just_begun_has_a_report(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 0\n")
    page = rendered([tmp_path / "run"], tmp_path)
    assert "No task was evaluated." in page.find("p", class_="note")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a run: it holds neither"):
        write_report([tmp_path])


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "env.json",
        "summary.json",
        "eval/after-set.json",
        "collapse.jsonl",
        "completions/completions_00002.parquet",
    ],
)
@pytest.mark.parametrize("content", [b"{]\n", b"[1]\n", b"\xff\xfe\n"])
def test_a_damaged_file_is_named(run, name, content):
    (run / name).write_bytes(content)
    with pytest.raises(ArcGymError, match=re.escape(name)):
        write_report([run])
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("content", [b"[1]\n", b'{"reward": 1}\n', b"\xff\n"])
def test_a_damaged_metrics_file_is_named(run, content):
    (run / "metrics.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=r"metrics\.jsonl is damaged"):
        write_report([run])


def test_a_line_that_a_killed_process_left_does_no_harm(run):
    for name in ("metrics.jsonl", "collapse.jsonl"):
        with (run / name).open("a") as file:
            file.write('{"step": 9')
    read = read_run(run, "run")
    assert (len(read.rows), len(read.events)) == (3, 1)


def test_other_tasks_under_the_same_name_are_not_shown(reports, tmp_path):
    reports[1].save(tmp_path / "one.json")
    tasks = real_tasks(*TASKS)
    changed = Task(FLIP, tasks[1].train, tasks[1].test)
    page = rendered([tmp_path / "one.json"], tmp_path, tasks={SET: [changed, *tasks[1:]]})
    assert any("their hash differs" in text for text in page.find("p", class_="note"))
    assert all(entry["d"] == [] for entry in grids_of(page).values())


def test_tasks_that_are_not_here_are_said_to_be(reports, tmp_path):
    replace(reports[1], name="no/such/folder/train").save(tmp_path / "one.json")
    page = rendered([tmp_path / "one.json"], tmp_path)
    assert any("no/such/folder/train are not found here" in text for text in page.find("p", class_="note"))
    assert len(page.find("article")) == 3


def test_a_run_does_not_fail_for_its_report(run, caplog):
    (run / "summary.json").write_text("{")
    with caplog.at_level(logging.ERROR):
        assert end_with_report(run, {}) is None
    assert "arcgym report" in caplog.text and "summary.json is damaged" in caplog.text


def test_a_run_ends_with_its_report(run):
    assert end_with_report(run, {SET: real_tasks(*TASKS)}) == run / "report.html"
    assert (run / "report.html").read_text().startswith("<!doctype html>")


# --- Several runs ---


def test_runs_stand_side_by_side(finished, reports, tmp_path):
    other = write_run(tmp_path / "other" / "finished", reports[0], reports[0], seed=7)
    page = rendered([finished, other], tmp_path)
    table = page.find("table")[0]
    assert "`seed`" in table and "7" in table
    assert "`output_dir`" not in table and "`num_generations`" not in table
    assert "1 / 3" in table
    (title,) = page.find("h1")
    assert title == f"{finished.parent.name}/finished · other/finished"
    assert len(page.find("h4")) == 6
    assert {attributes["data-outcome"] for tag, attributes in page.elements if tag == "article"} == {
        "unsolved lost differ", "solved new differ", "unsolved",
    }  # fmt: skip
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert sorted(set(ids)) == sorted(ids)
    assert "figure-curriculum-1" in ids and "figure-curriculum-2" in ids


def test_results_that_cannot_be_compared_are_shown_all_the_same(finished, reports, tmp_path):
    replace(reports[1], provenance={}).save(tmp_path / "old.json")
    page = rendered([finished, tmp_path / "old.json"], tmp_path)
    assert any("Differences are not tested" in text for text in page.find("p", class_="note"))


def test_several_runs_need_a_place(finished, reports, tmp_path):
    reports[0].save(tmp_path / "one.json")
    with pytest.raises(ConfigError, match="--output"):
        write_report([finished, tmp_path / "one.json"])
    with pytest.raises(ConfigError, match="named twice"):
        write_report([finished, finished], tmp_path / "page.html")


def test_a_short_gallery_keeps_what_matters(finished, tmp_path):
    page = rendered([finished], tmp_path, max_tasks=2)
    assert {FLIP, WRONG} < set(page.find("h3")) and HALF not in page.find("h3")
    assert any(text.startswith("1 tasks are left out") for text in page.find("p", class_="note"))


# --- Charts ---


def test_a_chart_s_table_holds_the_run_s_numbers(finished):
    run = read_run(finished, "run")
    with chart_style():
        charts = {chart.name: chart for chart in training_charts([run])}
        (path,) = curriculum_charts([run])
    margin = 1.96 * 0.5 / 2**0.5  # two tasks to a rollout
    assert charts["reward"].table.rows[2] == ("3", f"0.75 ({0.75 - margin:.3g} to {0.75 + margin:.3g})")
    assert charts["lengths-training"].table.rows[0] == ("1", "9 (3 to 20)")
    assert [row[1][:5] for row in charts["tasks-solved"].table.rows] == ["0.0% ", "50.0%"]
    assert "kl" not in charts
    assert path.table.rows == [("1", "0", "30.0%"), ("2", "1", "30.0%"), ("3", "2", "30.0%")]


def test_what_was_rolled_back_is_not_drawn(run):
    append_row(run / "metrics.jsonl", {"step": 1, "time": 1.0, "event": "begin"})
    assert read_run(run, "run").series("reward") == ([1.0], [0.125])


def test_a_repeated_rollout_counts_once(finished):
    rollouts = read_run(finished, "run").rollouts
    assert len(rollouts) == 8
    assert solved_by_step(rollouts).to_dict("index") == {1: {"tasks": 2, "solved": 0}, 2: {"tasks": 2, "solved": 1}}
    history = task_history(rollouts)
    assert history.loc["one"].tolist() == [4, 1, 2.0]
    assert history.loc["two", "solved"] == 0 and pd.isna(history.loc["two", "first_solved"])


def test_colours_follow_the_theme(finished):
    with chart_style():
        svg = training_charts([read_run(finished, "run")])[0].svg()
    assert not [colour for colour in (INK, *COLOURS) if colour in svg.lower()]
    assert {"var(--ink)", "var(--c0)"} <= set(re.findall(r"var\(--\w+\)", svg))
    assert "<text" in svg


@pytest.mark.parametrize(("format", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_figures_are_exported(finished, tmp_path, page, format, magic):
    files = export_figures([finished], tmp_path / "new" / "figures", format)
    assert all(file.read_bytes().startswith(magic) for file in files)
    drawn = [attributes["id"] for tag, attributes in page.elements if tag == "figure"]
    assert [f"figure-{file.stem}" for file in files] == drawn


def test_old_evaluations_can_be_reported(reports, tmp_path):
    """Without predictions, oracle and bands, as earlier versions wrote them."""
    plain = reports[1].to_dict()
    late = ("oracle", "predictions", "solving_program", "band", "side", "tokens_out", "family", "source")
    plain["records"] = [{name: value for name, value in row.items() if name not in late} for row in plain["records"]]
    (tmp_path / "old.json").write_text(json.dumps(plain))
    assert EvaluationReport.load(tmp_path / "old.json").records[0].predictions == ()
    assert len(rendered([tmp_path / "old.json"], tmp_path).find("article")) == 3


def test_the_answers_are_those_of_the_tasks():
    """What the fixtures rely on."""
    flip, _, wrong = real_tasks(*TASKS)
    assert grids_equal(flip.test[0].output, flip.test[0].input[:, ::-1])
    assert grids_equal(wrong.test[0].output, wrong.test[0].input[::-1, ::-1])
