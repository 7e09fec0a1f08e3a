"""TensorBoard as a person sees it: its page, rendered by a headless browser, of a run of ours."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from arcgym.training.metrics import MetricsTracker

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def run_folder(make_trainer):
    trainer = make_trainer({"report_to": "tensorboard"})
    trainer.add_callback(MetricsTracker(trainer))
    trainer.train()
    return Path(trainer.args.output_dir)


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


@pytest.fixture
def tensorboard(run_folder):
    """Address of a TensorBoard that has read the run."""
    command = ["-m", "tensorboard.main", "--logdir", str(run_folder / "runs"), "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        address = next(found[0] for line in server.stderr if (found := re.search(r"http://localhost:\d+", line)))
        end = time.monotonic() + 60
        while fetch(f"{address}/data/plugin/scalars/tags") == "{}":
            assert time.monotonic() < end, "TensorBoard did not read the run"
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stderr.close()


def rendered(address, profile):
    """Return the page as the browser has it after its scripts have run."""
    # As root a browser cannot sandbox itself; it sees nothing but this page
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--window-size=1600,2000"]
    command = [BROWSER, *options, "--virtual-time-budget=20000", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.slow
@pytest.mark.chromium
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_page_shows_scalars_and_programs(tensorboard, tmp_path):
    wanted = ("ppo/explained_variance", "grad_norm_clipped", "memory/peak_mb", "speed/programs_per_second")
    pages = f"{tensorboard}/?tagFilter={urllib.parse.quote('|'.join(wanted))}#timeseries"
    # Cards are drawn when they come into view; on a busy machine the page may be dumped before all are
    end = time.monotonic() + 120
    cards = set()
    while time.monotonic() < end and not {f"train/{name}" for name in wanted} <= cards:
        cards = set(re.findall(r"train/[\w/]+", rendered(pages, tmp_path / "browser")))
    assert {f"train/{name}" for name in wanted} <= cards
    assert "train/entropy" not in cards  # the filter holds, so these are the cards themselves

    # The text tab hides its content from a dump of the page; this is what it shows, as the server renders it
    (run,) = json.loads(fetch(f"{tensorboard}/data/plugin/text/tags"))
    query = urllib.parse.urlencode({"run": run, "tag": "completions/text_summary"})
    (text,) = json.loads(fetch(f"{tensorboard}/data/plugin/text/text?{query}"))
    assert text["step"] == 1
    assert text["text"].count("share_of_a <code>") == 4 and text["text"].count("<pre>") == 4
