"""The jobs of examples/cluster: a real tiny network answers the prompts, and the verdicts are those of a run."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"

CONFTEST = Path(__file__).parents[1] / "models" / "conftest.py"

MAKE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("tiny", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
tokenizer = tiny.make_tokenizer()
tiny.make_network("llama", len(tokenizer)).save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
"""

SUITE = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9, template="raw", examples=0)
def test_close(): ...
"""


@pytest.fixture
def town(pytester, monkeypatch):
    """A survey in the words of a tiny network, and that network in a folder."""
    # In a process of its own: pytester forgets what a run imports, and torch can be imported only once in a process.
    subprocess.run([sys.executable, "-c", MAKE, str(CONFTEST), str(pytester.path / "tiny")], check=True)
    people = {"population": "North", "probabilities": [0.5, 0.3, 0.2], "n_respondents": 500}
    rows = [
        {"question_id": f"q{n}", "question": text, "options": ["dogs", "bread", "war"], "distributions": [people]}
        for n, text in enumerate(["What do you like ?", "What do you think about war ?", "dogs or bread ?"])
    ]
    (pytester.path / "town.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    pytester.makepyfile(test_town=SUITE)
    monkeypatch.setenv("PLURALISM_CACHE", str(pytester.path / "cache"))
    monkeypatch.chdir(pytester.path)
    from pytest_pluralism.cli import main

    assert main(["export", "-o", "prompts.jsonl"]) == 0
    return pytester


def job(script, *options):
    command = [sys.executable, str(EXAMPLES / script), "prompts.jsonl", "answers.jsonl", "--name=tiny", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def units(town, spec):
    town.runpytest_subprocess(f"--pluralism-model={spec}", "--pluralism-report=r.json", "--pluralism-dtype=float32")
    (verdict,) = json.loads((town.path / "r.json").read_text())["verdicts"]
    return [unit["value"] for unit in verdict["units"]], verdict["outcome"]


@pytest.mark.slow
def test_a_task_answers_goes_on_after_a_kill_and_gives_the_verdict_of_a_run(town):
    out = job("answer.py", "--model=./tiny", "--dtype=float32")
    rows = (town.path / "prompts.jsonl").read_text().splitlines()
    assert f"{len(rows)} prompts to answer" in out
    whole = (town.path / "answers.jsonl").read_text()
    # Killed in the middle of a line: what is whole is not asked again.
    (town.path / "answers.jsonl").write_text("".join(whole.splitlines(keepends=True)[:4]) + '{"prompt_id": "a-')
    assert f"{len(rows) - 3} prompts to answer" in job("answer.py", "--model=./tiny", "--dtype=float32")
    assert sorted((town.path / "answers.jsonl").read_text().splitlines()) == sorted(whole.splitlines())
    recorded, outcome = units(town, "responses:answers.jsonl")
    live, same = units(town, "./tiny")
    assert recorded == pytest.approx(live, abs=1e-6)
    assert outcome == same


@pytest.mark.slow
def test_a_ray_job_on_two_workers_gives_the_verdict_of_a_run(town):
    pytest.importorskip("ray")
    job("ray_answers.py", "--model=./tiny", "--dtype=float32", "--workers=2")
    recorded, outcome = units(town, "responses:answers.jsonl")
    live, same = units(town, "./tiny")
    assert recorded == pytest.approx(live, abs=1e-6)
    assert outcome == same
    assert "0 prompts to answer" in job("ray_answers.py", "--model=./tiny", "--dtype=float32")


@pytest.mark.slow
def test_a_slurm_array_of_three_tasks_gives_the_verdict_of_a_run(town, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    script = EXAMPLES / "slurm_answers.sh"
    # Slurm runs a copy of the script from its spool, and srun starts the steps of a job.
    spool, programs = town.path / "spool", town.path / "programs"
    for folder in (spool, programs):
        folder.mkdir()
    copy = shutil.copy(script, spool / "slurm_script")
    srun = programs / "srun"
    srun.write_text('#!/usr/bin/env bash\necho "$*" >> srun.txt\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n')
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def task(number, *more, count="3", jobs=EXAMPLES):
        place = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": count}
        place |= {"SLURM_SUBMIT_DIR": str(town.path), "PLURALISM_JOBS": str(jobs)}
        command = ["bash", str(copy), "prompts.jsonl", "./tiny", "tiny", *more]
        return subprocess.run(command, env=os.environ | place, cwd=town.path, capture_output=True, text=True)

    for number in range(2):
        assert task(number).returncode == 0
    # One task that is started again alone has a count of one.
    alone = task(2, count="1")
    assert alone.returncode == 2
    assert "number tasks from 0" in alone.stderr
    assert "PLURALISM_JOBS" in task(2, jobs=town.path).stderr
    assert not (town.path / "answers-2.jsonl").exists()
    assert task(2, "3", count="1").returncode == 0
    assert len((town.path / "srun.txt").read_text().splitlines()) == 3
    # As the head of the script says.
    join = "(head -1 answers-0.jsonl; tail -qn +2 answers-*.jsonl) > answers.jsonl"
    assert join in script.read_text(encoding="utf-8")
    subprocess.run(["bash", "-c", join], cwd=town.path, check=True)  # noqa: S607
    recorded, outcome = units(town, "responses:answers.jsonl")
    live, same = units(town, "./tiny")
    assert recorded == pytest.approx(live, abs=1e-6)
    assert outcome == same


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_ones_that_a_shell_reads(script):
    subprocess.run(["bash", "-n", str(script)], check=True)  # noqa: S607
    assert script.read_text(encoding="utf-8").splitlines()[0] == "#!/usr/bin/env bash"


def test_a_prompt_with_half_of_its_draws_is_asked_again(tmp_path):
    spec = importlib.util.spec_from_file_location("ray_answers", EXAMPLES / "ray_answers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    prompts, answers = tmp_path / "p.jsonl", tmp_path / "a.jsonl"
    prompts.write_text("".join(f'{{"prompt_id": "r-{n}", "n_draws": 2}}\n' for n in range(2)))
    rows = [
        '{"model": {"name": "x"}}',
        *(f'{{"prompt_id": "r-{n}", "draw": 0}}' for n in (0, 1)),
        '{"prompt_id": "r-1", "draw": 1}',
    ]
    answers.write_text("".join(f"{row}\n" for row in rows))
    assert [json.loads(one)["prompt_id"] for one in module.left(prompts, answers)] == ["r-0"]
    assert len(answers.read_text().splitlines()) == 3


def test_the_package_never_imports_ray():
    package = Path(__file__).parents[2] / "pytest_pluralism"
    assert not [path for path in package.rglob("*.py") if "import ray" in path.read_text(encoding="utf-8")]
