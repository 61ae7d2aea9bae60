"""Runs of pytest whose model is served: what is asked, what is kept, and what is never shown."""

from __future__ import annotations

import json
from collections import Counter

import pytest

SECRET = "sk-hunter2-hunter2-hunter2"  # noqa: S105
#: A machine under load may take long over a reply; nothing here waits for one that does not come.
PATIENT = "?timeout=60&patience=60"

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99)
def test_north(): ...

@pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.5)
def test_south(): ...
"""


@pytest.fixture
def town(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    rows = []
    for number in range(12):
        shares = [0.2 + 0.02 * (number % 5), 0.3, 0.5 - 0.02 * (number % 5)]
        people = [
            {"population": name, "probabilities": given, "n_respondents": 500}
            for name, given in (("North", shares), ("South", shares[::-1]))
        ]
        question = f"Should the town do thing number {number}?"
        options = ["Yes", "Perhaps", "No"]
        rows.append({"question_id": f"q{number}", "question": question, "options": options, "distributions": people})
    (pytester.path / "town.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pytester.makepyfile(test_town=BODY)
    monkeypatch.delenv("PLURALISM_ANSWERS", raising=False)
    return pytester


def run(town, served, *args, model=None, answers="kept"):
    return town.runpytest_subprocess(
        f"--pluralism-model={model or served.spec + PATIENT}",
        f"--pluralism-answers={answers}",
        "--pluralism-report=out.json",
        *args,
    )


def report(town):
    return json.loads((town.path / "out.json").read_text())


def questions(served):
    """Return the questions of the survey that were answered, as they were asked."""
    asked = [one for one in served.paid if one.path.endswith("completions") and "thing number" in str(one.body)]
    return [json.dumps(one.body["messages"]) for one in asked if "logprob_token_ids" not in one.body]


@pytest.mark.slow
def test_a_run_that_is_cut_off_and_taken_up_again_pays_for_no_prompt_twice(town, serve):
    # Without a baseline nobody measures the noise floor, which asks some prompts on purpose again.
    town.makepyfile(test_town=BODY.replace("max_increase=0.5", "at_most=0.98"))
    served = serve()
    served.fault = lambda request: served_dies(served, request)
    # The server stays broken, so that trying again is in vain.
    first = run(town, served, "--pluralism-batch-size=4", model=served.spec + "?timeout=60&patience=1")
    assert first.ret == 1
    before = questions(served)
    # Of 72 prompts it failed at the fortieth, and up to three others were on their way.
    answered = report(town)["run"]["answers"]["computed"]
    assert 36 <= answered < 45
    served.fault = None
    served.paid.clear()
    second = run(town, served, "--pluralism-batch-size=4")
    assert second.ret == 0
    after = questions(served)
    assert report(town)["run"]["answers"] == {"computed": 72 - answered, "from_store": answered}
    assert len(after) == 72 - answered
    assert len(set(before) | set(after)) == 72
    assert len(before) + len(after) <= 72 + 4
    served.paid.clear()
    assert run(town, served).ret == 0
    assert questions(served) == []


def served_dies(served, request):
    if "number" in str(request.body) and len(questions(served)) > 40:
        return type("Reply", (), {"content": b"", "status": 503, "headers": {}, "cut": None, "wait": 0.0})()
    return None


def holders(folder):
    """Return every file and name below a folder that holds the secret."""
    found = [path for path in folder.rglob("*") if SECRET in path.name]
    return found + [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.whole
def test_a_key_is_sent_and_stands_nowhere(town, serve, monkeypatch, tmp_path):
    monkeypatch.setenv("PLURALISM_ENDPOINT_API_KEY", SECRET)
    served = serve()
    ways = [f"--pluralism-report={name}" for name in ("out.html", "out.md")]
    ways += ["--log-level=DEBUG", "--log-file=log.txt", "--junitxml=junit.xml", "--pluralism-show-prompt"]
    first = run(town, served, "--pluralism-update-baseline", *ways)
    assert first.ret == 0
    assert {one.headers.get("Authorization") for one in served.log} == {f"Bearer {SECRET}"}

    def echoes(request):
        content = json.dumps({"error": {"message": f"Incorrect API key provided: {SECRET}"}}).encode()
        return type("Reply", (), {"content": content, "status": 401, "headers": {}, "cut": None, "wait": 0.0})()

    served.fault = echoes
    second = run(town, served, "-vv", "--showlocals", *ways)
    assert second.ret == 1
    second.stdout.fnmatch_lines(["*Incorrect API key provided: ***"])
    for result in (first, second):
        assert SECRET not in result.stdout.str() + result.stderr.str()
    assert (town.path / "log.txt").stat().st_size > 1000
    assert holders(town.path) == []
    assert holders(tmp_path) == []


@pytest.mark.parametrize(
    "option",
    [
        f"--pluralism-model=endpoint:http://me:{SECRET}@127.0.0.1:9#tiny",
        f"--pluralism-model=endpoint:http://{SECRET}@127.0.0.1:9#tiny",
        f"--pluralism-model=endpoint:http://127.0.0.1:9/v1?key={SECRET}#tiny",
        f"--pluralism-baseline=https://me:{SECRET}@127.0.0.1:9/baselines",
        f"--pluralism-entailment-model=endpoint:http://me:{SECRET}@127.0.0.1:9#judge",
    ],
)
def test_a_secret_in_a_url_stops_the_run_and_stands_nowhere(town, option):
    result = town.runpytest_inprocess(option, "--pluralism-report=out.json", "--pluralism-answers=kept")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*holds a user name, a password or a key in a URL*PLURALISM_ENDPOINT_API_KEY*"])
    assert SECRET not in result.stdout.str() + result.stderr.str()
    assert holders(town.path) == []


@pytest.mark.slow
def test_workers_share_one_server(town, serve):
    served = serve()
    assert run(town, served, "-n", "2", "--pluralism-update-baseline").ret == 0
    assert len(set(questions(served))) == 72
    served.paid.clear()
    assert run(town, served, "-n", "2").ret == 0
    assert questions(served) == []


@pytest.mark.whole
def test_the_key_of_openai_goes_to_no_other_host_whose_abilities_are_told(town, serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    served = serve()
    result = run(town, served, "--pluralism-update-baseline", model=f"{served.spec}{PATIENT}&prices=1/2")
    result.stdout.fnmatch_lines(
        [
            "*the server says of itself: model tiny, owner vllm, version 1.2.3; that cannot be proved*",
            "*logprob_token_ids: yes*",
            "*requests*tokens of prompts and*at the given prices*",
        ]
    )
    assert result.ret == 0
    assert "cannot be proved" in json.dumps(report(town))
    assert served.log
    assert all("Authorization" not in one.headers for one in served.log)


OPEN = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most={bound}, confidence_level={level})
def test_north(): ...

@pytest.mark.answer_entropy("town.jsonl", population="North", at_least=0.1)
def test_entropy(): ...
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", [None, 0.95])
def test_bounds_from_few_likeliest_tokens_can_leave_a_promise_open(town, serve, level):
    exact = serve()
    town.makepyfile(test_town=OPEN.format(bound=0.9, level=level))
    assert run(town, exact, answers="off").ret == 0
    known = report(town)["verdicts"][0]["estimate"]
    # The same model, of which only the four likeliest tokens are shown.
    few = serve(cap=4, chosen=False, routes=("/completions", "/chat/completions"))
    assert run(town, few, answers="off").ret == 0
    verdict, entropy = report(town)["verdicts"]
    estimate = verdict["estimate"]
    assert estimate["low"] < known["low"]
    assert known["high"] < estimate["high"]
    assert any("leave 12 of 12 units open" in warning for warning in verdict["warnings"])
    assert any("leave 12 of 12 units open" in warning for warning in entropy["warnings"])
    # A bound between what the exact model keeps and what the shown tokens leave open.
    between = (known["high"] + estimate["high"]) / 2
    town.makepyfile(test_town=OPEN.format(bound=between, level=level))
    assert run(town, exact, "-k", "north", answers="off").ret == 0
    assert run(town, few, "-k", "north", answers="off").ret == 1
    assert report(town)["verdicts"][0]["outcome"] == "inconclusive"


@pytest.mark.slow
def test_a_release_is_compared_with_a_baseline_that_was_left_open(town, serve):
    town.makepyfile(test_town=BODY)
    few = serve(cap=4, chosen=False, routes=("/completions", "/chat/completions"))
    town.makepyfile(
        test_town="import pytest\n\n"
        '@pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.01)\ndef test_south(): ...\n'
    )
    assert run(town, few, "--pluralism-update-baseline", answers="off").ret == 0
    # The exact model is the same one, and nothing shows that it did not get worse by 0.01.
    exact = serve()
    assert run(town, exact, answers="off").ret == 1
    assert report(town)["verdicts"][0]["outcome"] == "inconclusive"


@pytest.mark.slow
def test_a_chat_without_log_probabilities_is_gated_by_sampled_letters(town, serve):
    served = serve(routes=("/chat/completions",), cap=0)
    model = f"{served.spec}{PATIENT}&samples=8"
    town.makepyfile(test_town=OPEN.format(bound=0.9, level=0.95))
    result = run(town, served, model=model)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*8 sampled texts of each are counted, since it gives no log-probabilities there*"])
    verdict = report(town)["verdicts"][0]
    assert any("sampled answers" in warning for warning in verdict["warnings"])
    assert drawn(served) == {8}
    assert run(town, served, model=model).ret == 0
    assert drawn(served) == set()
    # Fewer texts are there already, and of more only the further ones are asked for.
    assert run(town, served, model=f"{served.spec}{PATIENT}&samples=4").ret == 0
    assert drawn(served) == set()
    assert run(town, served, model=f"{served.spec}{PATIENT}&samples=11").ret == 0
    assert drawn(served) == {3}


def drawn(served):
    """Return how many texts were asked for to each prompt since the last call."""
    by_prompt = Counter()
    for one in served.log:
        if "thing number" in str(one.body):
            by_prompt[json.dumps(one.body["messages"])] += one.body.get("n", 1)
    served.log.clear()
    return set(by_prompt.values())


@pytest.mark.slow
def test_the_number_of_sampled_letters_is_planned_from_the_promise(town, serve):
    served = serve(routes=("/chat/completions",), cap=0)
    town.makepyfile(test_town=OPEN.format(bound=0.9, level=0.95))
    result = run(town, served, model=served.spec + PATIENT)
    result.stdout.fnmatch_lines(["*as many as its promises need*sampled texts of each are counted*"])
    assert drawn(served) == {20}
    assert run(town, served, model=served.spec + PATIENT).ret == result.ret
    assert drawn(served) == set()
    # A change within a narrow margin needs more: those that are there are kept, and topped up to the cap.
    town.makepyfile(
        test_town="import pytest\n\n"
        '@pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.01)\ndef test_south(): ...\n'
    )
    assert run(town, served, "--pluralism-update-baseline", model=served.spec + PATIENT).ret == 0
    assert drawn(served) == {100 - 20}
    # 600 texts in 6 prompts, most of which name an option.
    assert report(town)["verdicts"][0]["units"][0]["n_draws"] > 300


@pytest.mark.whole
def test_a_plan_counts_the_tokens_and_asks_nothing(town, serve):
    served = serve()
    model = f"{served.spec}{PATIENT}&prices=10/20"
    result = town.runpytest_subprocess(f"--pluralism-model={model}", "--pluralism-plan")
    assert result.ret == 0
    result.stdout.re_match_lines(
        [r".*served: 72 prompts have about [\d,]+ tokens .* at the given prices about 0\.\d+.*"]
    )
    assert served.log == []
