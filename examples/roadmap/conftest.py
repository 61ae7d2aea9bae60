"""Made models for the promises of the roadmap: `made:good` does what a promise asks, `made:poor` ignores it.

They stand for real models, which are named by ``--pluralism-model`` and ``--pluralism-value-model``. The good one knows
the data of the package; nothing here needs torch. The judge of texts is one of words, in place of an entailment model.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from pytest_pluralism.core.records import Answer, EntailmentScores, Response
from pytest_pluralism.datasets import load_windows
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.steering import trade_offs
from pytest_pluralism.datasets.steering.file import steering_of_survey
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.models.protocol import ModelIdentity

HERE = Path(__file__).parent
GSS = steering_of_survey(load_survey("gss"))
WHO = {one.who: one.name for one in GSS.attributes}
PEOPLE = {(row.population, row.question_id): row.probabilities for row in GSS.survey.distributions}
QUESTIONS = {question.text: question for question in GSS.survey.questions}
WINDOWS = {w.query: w for name in ("contested", "settled") for w in load_windows(name).windows}
TOWN = load_panel("example_town")
FOR_BOTH = {"for both", *(one.text for q in TOWN.queries for one in q.responses if one.response_id == "for both")}


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


SERVED = {
    (row["scenario"], option["text"]): {name: option[name] for name in row["pair"]}
    for row in lines(Path(trade_offs.__file__).with_name("trade_offs.jsonl"))
    for option in row["options"]
}
MORAL = {row["context"]: row for row in lines(HERE / "moral_choice.jsonl")}
STANCES = {(row["situation"], row["vrd"]): "ABC".index(row["label"]) for row in lines(HERE / "values.jsonl")}
PAIRS = [row for row in lines(HERE / "personas.jsonl") if "prompt" in row]
WANTED = {row["persona"]: row["description"] for row in lines(HERE / "personas.jsonl") if "prompt" not in row}


def known(text, names):
    return max((name for name in names if name in text), key=len, default=None)


def likes(who, text):
    """Return whether a persona of personas.jsonl prefers a text."""
    return any(WANTED[row["persona"]] in who and row["chosen"] in text for row in PAIRS)


class Made:
    """A language model that knows the data, answers everything alike, or is one of a pair of before and after.

    Of a modular system `made:listener` knows nobody but those whom it reads of, and `made:voice-GROUP` speaks for one.
    """

    def __init__(self, spec):
        name = spec.partition(":")[2]
        self.good, self.how = name != "poor", name
        self.speaks_for = name.removeprefix("voice-") if name.startswith("voice-") else "US adults"
        self.identity = ModelIdentity(spec, name, spec, "float32", "cpu")

    def shares(self, prompt, options):
        text = prompt.question
        if self.how == "listener" and known(text, WHO) is None:
            return [1.0] * len(options)
        if question := QUESTIONS.get(known(text, QUESTIONS)):
            side = WHO.get(known(text, WHO), self.speaks_for) if self.good else "US adults"
            pairs = zip(PEOPLE[side, question.question_id], PEOPLE["US adults", question.question_id], strict=True)
            # Most of what the party says, and a little of what everybody does.
            shares = [0.85 * party + 0.15 * everybody for party, everybody in pairs]
            # After alignment a model is surer of its answer.
            shares = [share**3 for share in shares] if self.how == "after" else shares
            return [shares[question.options.index(option)] for option in options]
        if not self.good:
            return [1.0] * len(options)
        if scene := MORAL.get(known(text, MORAL)):
            sure = 0.5 if scene["ambiguity"] == "high" else 0.98 - len(scene["context"]) % 7 / 100
            return [sure if option == scene["action1"] else 1 - sure for option in options]
        if pair := known(text, [one for one, _ in STANCES]):
            value = known(text, [vrd for situation, vrd in STANCES if situation == pair])
            wanted = STANCES[pair, value] if value else 2
            return [0.9 if option == ("Support", "Oppose", "Either")[wanted] else 0.05 for option in options]
        return [1.0 if option in FOR_BOTH else 1e-3 for option in options]

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            options = [line[3:] for line in prompt.question.split("\n") if line[1:3] == ". "]
            shares = [max(one, 1e-9) for one in self.shares(prompt, options)]
            top = max(range(len(shares)), key=shares.__getitem__)
            logs = tuple(math.log(one / sum(shares)) for one in shares)
            result.append(Answer(logs, 1.0, prompt.labels[top], math.exp(logs[top])))
        return result

    def generate(self, prompts, settings, *, n_draws=1, progress=None):
        result = []
        if self.how.startswith("voice-"):
            who = next(who for who, name in WHO.items() if name == self.speaks_for)
            return [tuple(Response(f"So says {who}.", 9, "eos", draw) for draw in range(n_draws)) for _ in prompts]
        for prompt in prompts:
            window = WINDOWS.get(known(prompt.question, WINDOWS))
            answers = [] if window is None else [one.text for one in window.reasonable]
            held = answers[::2] if self.how == "before" else answers if self.good else answers[:1]
            text = " ".join(held) or "It depends."
            if not self.good and window is not None and window.unreasonable:
                text = window.unreasonable[0].text
            result.append(tuple(Response(text, 9, "eos", draw) for draw in range(n_draws)))
        return result

    def close(self):
        pass


class MadeReward:
    """A reward model that follows the attribute it is steered to, or gives one persona's rewards to everybody."""

    def __init__(self, spec):
        self.good = spec.endswith("good")
        self.identity = ModelIdentity(spec, f"{spec.partition(':')[2]}-reward", spec, "float32", "cpu")

    def reward(self, requests, /, *, progress=None):
        return [self.of(one) for one in requests]

    def of(self, request):
        who = request.attribute if self.good else "farmer"
        if served := SERVED.get((request.prompt, request.response)):
            found = re.match(r"Weigh (.+) at ([\d.]+) % and (.+) at ([\d.]+) %", who)
            weights = {found[1]: float(found[2]), found[3]: float(found[4])} if found else dict.fromkeys(served, 50.0)
            return sum(weights[name] * value for name, value in served.items())
        # Some pairs are judged the wrong way round.
        return float(likes(who, request.response)) * (1.0 if len(request.prompt) % 5 else -1.0)

    def close(self):
        pass


class Words:
    """A judge of words: a text holds an answer that stands in it."""

    identity = ModelIdentity("words", "words", "1" * 64, "float32", "cpu")

    def entail(self, pairs, /, *, progress=None):
        return [EntailmentScores(float(one.hypothesis in one.premise)) for one in pairs]

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    return Made(spec) if spec.startswith("made:") else None


def pytest_pluralism_load_value_model(spec, settings):
    return MadeReward(spec) if spec.startswith("made:") else None


def pytest_pluralism_load_entailment_model(spec, settings):
    return Words() if spec == "words" else None
