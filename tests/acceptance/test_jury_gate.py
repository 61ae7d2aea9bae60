"""A real model writes, and jurors of three kinds say what its responses are worth: a whole run, twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.embedded import find_embedded_entailment

pytestmark = [pytest.mark.slow, pytest.mark.model]

SPEC = "embedded:smollm2-135m-instruct"

GATES = """
import pytest

@pytest.mark.jury_welfare("example_town", jurors="fitted", alpha=1.0, max_new_tokens=40, at_least=0.05)
def test_fitted_jurors(): ...

@pytest.mark.jury_welfare("example_town", jurors="recorded", alpha=1.0, max_new_tokens=40, at_least=0.02)
def test_recorded_votes_are_about_other_texts(): ...

def length(juror, query, response):
    words = len(response.split())
    return min(words / 40, 1.0) if juror.attributes["group"] == "center" else max(1.0 - words / 40, 0.02)

@pytest.mark.jury_welfare("example_town", jurors=length, alpha=5.0, max_new_tokens=40, at_least=0.02)
def test_a_function_of_the_project(): ...
"""


def verdicts(pytester: pytest.Pytester) -> dict[str, dict[str, Any]]:
    content = json.loads((pytester.path / "out.json").read_text(encoding="utf-8"))
    return {entry["nodeid"].split("::")[1].split("[")[0]: entry for entry in content["verdicts"]}


def test_a_real_model_writes_and_jurors_judge(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALISM_ANSWERS", str(pytester.path / "answers"))
    pytester.makepyfile(test_jury=GATES)
    options = (f"--pluralism-model={SPEC}", "--pluralism-report=out.json", "-p", "no:cacheprovider")
    result = pytester.runpytest_subprocess(*options, timeout=600)
    found = verdicts(pytester)
    fitted = found["test_fitted_jurors"]
    texts = [text for unit in fitted["units"] for text in unit["responses"]]
    assert len(texts) == 12
    assert all(len(text) > 20 for text in texts)
    assert len(set(texts)) > 6
    estimate = fitted["estimate"]
    assert 0.0 < estimate["low"] < estimate["value"] < estimate["high"] <= 1.0
    assert (estimate["n"], fitted["outcome"]) == (12, "passed")
    jurors = fitted["details"]["jurors"]
    assert jurors["kind"] == "estimated"
    assert jurors["accuracy"]
    assert any("not people" in warning for warning in fitted["warnings"])
    # A text that nobody voted on has no recorded welfare: the promise is not kept, and it is said why.
    recorded = found["test_recorded_votes_are_about_other_texts"]
    assert recorded["outcome"] != "passed"
    told = recorded["reason"] + " ".join(recorded["warnings"])
    assert "never voted on" in told or "no value" in told or "nothing" in told
    own = found["test_a_function_of_the_project"]
    assert own["witness"]["id"] in ("group center", "group river")
    # The same texts, from the store: nothing is computed, and nothing changes.
    again = pytester.runpytest_subprocess(*options, timeout=600)
    assert again.ret == result.ret
    again.stdout.fnmatch_lines(["*answers: 0 computed, 12 from the store*"])
    assert verdicts(pytester)["test_fitted_jurors"]["estimate"] == estimate


PANEL = [
    {"juror": "ana", "group": "cyclists", "statement": "Build more bicycle lanes."},
    {"juror": "bea", "group": "cyclists", "statement": "Cars should be kept out of the old town."},
    {"juror": "cem", "group": "cyclists", "statement": "Cycling to work should be safe."},
    {"juror": "dan", "group": "drivers", "statement": "Build more parking spaces."},
    {"juror": "eli", "group": "drivers", "statement": "Driving into the town should stay free."},
    {"juror": "fay", "group": "drivers", "statement": "Roads need to be repaired first."},
]

#: The texts that a system for each group, and one for both, would write.
SIDES = {
    "cyclists": "Build more bicycle lanes. Keep cars out of the old town. Make cycling to work safe.",
    "drivers": "Build more parking spaces. Driving into the town stays free. Repair the roads first.",
    "nobody": "The museum opens at nine in the morning.",
}


def test_entailment_jurors_with_the_packaged_model(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_embedded_entailment("nli-minilm")
    except ModelError as error:
        pytest.skip(f"no weights of the packaged entailment model: {error}")
    monkeypatch.setenv("PLURALISM_ANSWERS", str(pytester.path / "answers"))
    queries = [
        {"query": f"q{n}", "text": f"What should the town do about traffic in quarter {n}?", "response": None}
        for n in range(6)
    ]
    rows = [*PANEL, *({"query": one["query"], "text": one["text"]} for one in queries)]
    (pytester.path / "traffic.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sides = json.dumps(SIDES)
    pytester.makeconftest(
        f"""
        import hashlib
        from pytest_pluralism.core.records import Response
        from pytest_pluralism.models.protocol import ModelIdentity

        SIDES = {sides}

        class Writer:
            def __init__(self, spec):
                self.text = SIDES[spec.partition(":")[2]]
                self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")
            def answer(self, prompts, *, progress=None):
                raise AssertionError
            def generate(self, prompts, settings, *, n_draws=1, progress=None):
                return [(Response(self.text, 9, "eos", 0),) for _ in prompts]
            def close(self):
                pass

        def pytest_pluralism_load_model(spec, settings):
            return Writer(spec) if spec.startswith("side:") else None
        """
    )
    pytester.makepyfile(
        test_traffic="""
        import pytest

        @pytest.mark.jury_welfare("traffic.jsonl", alpha=1.0, max_new_tokens=60, at_least=0.011)
        def test_everybody(): ...
        """
    )

    def run(spec: str) -> dict[str, Any]:
        pytester.runpytest_subprocess(
            f"--pluralism-model={spec}", "--pluralism-entailment-model=embedded:nli-minilm",
            "--pluralism-report=out.json", "-p", "no:cacheprovider", timeout=600,
        )  # fmt: skip
        return verdicts(pytester)["test_everybody"]

    by_group = {name: run(f"side:{name}")["other_populations"] for name in SIDES}
    assert by_group["cyclists"]["cyclists"] > 2 * by_group["cyclists"]["drivers"]
    assert by_group["drivers"]["drivers"] > 2 * by_group["drivers"]["cyclists"]
    assert max(by_group["nobody"].values()) < min(by_group["cyclists"]["cyclists"], by_group["drivers"]["drivers"])
    real = run(SPEC)
    assert real["outcome"] in ("passed", "failed", "inconclusive")
    assert real["estimate"]["n"] == 6
    assert real["settings"]["entailment_model"]["name"] == "nli-minilm"
    assert 0.01 <= real["estimate"]["value"] <= 1.0
