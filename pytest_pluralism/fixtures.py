"""The fixtures: the models of a run, and the measures inside a test."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError
from pytest_pluralism.run.items import ENTRIES, PLANS, UNJUDGED, test_of
from pytest_pluralism.run.session import SESSION, PluralismSession

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, ReportEntry, Scores, Verdict
    from pytest_pluralism.evaluation.asking.rounds import Identified, Results, Role, Round
    from pytest_pluralism.evaluation.jury.seated import Jury
    from pytest_pluralism.evaluation.measures.planning import PlannedGate
    from pytest_pluralism.models.protocol import EntailmentModel, LanguageModel, ValueModel
    from pytest_pluralism.run.models import RunModels

__all__ = [
    "Pluralism",
    "entailment_model",
    "jury",
    "language_model",
    "pluralism",
    "reference_language_model",
    "value_model",
]

_Model = TypeVar("_Model")

_MEASURED: pytest.StashKey[list[tuple[Estimate, PlannedGate, Scores]]] = pytest.StashKey()

NO_MODEL = (
    "no language model to test. Name one with --pluralism-model=SPEC (for example "
    "--pluralism-model=embedded:smollm2-135m-instruct, hf:ORG/NAME or a folder), with pluralism_model in the ini file, "
    "or define a fixture language_model."
)


SEVERAL_MODELS = (
    "this test cannot be run once for each --pluralism-model: pytest does not parametrise it. "
    "Mark a test function instead, or run with one model."
)


@pytest.fixture(scope="session")
def language_model(request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
    """Give the model under test, from ``--pluralism-model``; its memory is given back before the next one loads."""
    spec = getattr(request, "param", None)
    if spec is None:
        # A test that pytest does not parametrise (a unittest.TestCase, or a marked parameter) can use the only one.
        models = request.config.stash[SESSION].settings["model"]
        if len(models) != 1:
            pytest.fail(NO_MODEL if not models else SEVERAL_MODELS, pytrace=False)
        spec = models[0]
    yield from _loaded(request.config, spec)


@pytest.fixture(scope="session")
def reference_language_model(request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
    """Give the model to compare with, from ``--pluralism-reference-model``."""
    spec = request.config.stash[SESSION].settings["reference_model"]
    if spec is None:
        pytest.fail("no reference model. Name one with --pluralism-reference-model=SPEC.", pytrace=False)
    yield from _loaded(request.config, spec)


@pytest.fixture(scope="session")
def entailment_model(request: pytest.FixtureRequest) -> Iterator[EntailmentModel]:
    """Give the model that judges whether one text says what another says, from ``--pluralism-entailment-model``."""
    session = request.config.stash[SESSION]
    spec = session.settings["entailment_model"]
    if spec is None:
        pytest.fail("no entailment model. Name one with --pluralism-entailment-model=SPEC.", pytrace=False)
    yield from _open(session.models, session.models.load_entailment_model, spec)


@pytest.fixture(scope="session")
def value_model(request: pytest.FixtureRequest) -> Iterator[ValueModel]:
    """Give the model that says what a response is worth to a value, from ``--pluralism-value-model``."""
    session = request.config.stash[SESSION]
    spec = session.settings["value_model"]
    if spec is None:
        pytest.fail("no value model. Name one with --pluralism-value-model=SPEC.", pytrace=False)
    yield from _open(session.models, session.models.load_value_model, spec)


def _loaded(config: pytest.Config, spec: str) -> Iterator[LanguageModel]:
    models = config.stash[SESSION].models
    yield from _open(models, models.load_model, spec)


def _open(models: RunModels, load: Callable[[str], _Model], spec: str) -> Iterator[_Model]:
    try:
        model = load(spec)
    except PluralismError as error:
        raise pytest.fail.Exception(harmless(str(error)), pytrace=False) from None
    yield model
    models.close(model)


@pytest.fixture
def pluralism(request: pytest.FixtureRequest) -> Pluralism:
    """Measure inside a test: ``pluralism.evaluate(...)``, ``pluralism.require(...)``, ``pluralism.estimate``."""
    plans, problems = request.node.stash.get(PLANS, ([], []))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    request.node.stash[ENTRIES] = []
    handle = Pluralism(request, request.config.stash[SESSION], plans)
    if plans:
        # A model that cannot be loaded is an error of the setup, not a failure of the test.
        _ = handle.language_model
        callspec = getattr(request.node, "callspec", None)
        if callspec is not None and "language_model" in callspec.params:
            handle.session.ask_for_all(callspec.params["language_model"], handle.model_of, request.session.items)
    return handle


@pytest.fixture
def jury(request: pytest.FixtureRequest) -> Callable[..., Jury]:
    """Seat a jury: ``jury(panel, **keywords)``, or ``jury()`` for that of the test's marker ``jury_welfare``."""
    session = request.config.stash[SESSION]

    def seated(panel: str | None = None, /, **keywords: Any) -> Jury:
        from pytest_pluralism.evaluation.jury.seated import seat
        from pytest_pluralism.evaluation.measures.gates import BOUNDS
        from pytest_pluralism.gate import plan_measurement

        promised = next((word for word in BOUNDS if word in keywords), None)
        try:
            if promised is not None:
                raise InvalidParameterError(
                    f"the fixture jury makes no promise, so that {promised!r} has no part in it. Assert on the "
                    "estimate, use pluralism.require, or promise it in the marker jury_welfare."
                )
            if panel is not None:
                plans = plan_measurement(
                    "jury_welfare",
                    panel,
                    keywords,
                    session.settings,
                    item=request.node,
                    promise=False,
                )
            elif keywords:
                raise InvalidParameterError("jury takes keywords with the name or file of a panel alone. Add one.")
            else:
                plans = [
                    plan for plan in request.node.stash.get(PLANS, ([], []))[0] if plan.measure.name == "jury_welfare"
                ]
        except PluralismError as error:
            raise pytest.fail.Exception(harmless(str(error)), pytrace=False) from None
        if not plans:
            pytest.fail(
                "jury needs a panel: this test has no marker jury_welfare. Name one: jury(panel).", pytrace=False
            )
        if len(plans) != 1:
            pytest.fail(
                f"jury needs one rule and one group, not {len(plans)}. Name them: jury(panel, alpha=1.0).",
                pytrace=False,
            )

        def answered(asked: Round) -> Results:
            return session.models.engine.answered(asked, Pluralism(request, session, []).model_of(asked.role))

        def measured(estimate: Estimate, scores: Scores) -> None:
            _measured_in(request).append((estimate, plans[0], scores))

        return seat(plans[0].evaluation, plans[0].confidence_level, answered, measured)

    return seated


def _measured_in(request: pytest.FixtureRequest) -> list[tuple[Estimate, PlannedGate, Scores]]:
    """Return what was measured inside a test, to which its fixtures add: a promise about it is as that of a marker."""
    stash = request.node.stash
    if _MEASURED not in stash:
        stash[_MEASURED] = []
        request.addfinalizer(lambda: stash.__delitem__(_MEASURED))
    measured: list[tuple[Estimate, PlannedGate, Scores]] = stash[_MEASURED]
    return measured


def harmless(text: str) -> str:
    """Return a message with nothing in it that a terminal would obey."""
    from pytest_pluralism.core import untrusted

    return untrusted.harmless(text)


def failure_of(item: pytest.Item, error: PluralismError) -> str:
    """Return what is wrong and the line of the test where it came up, as one sentence."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == item.path]
    return harmless(f"{item.path.name}:{lines[-1]}: {error}" if lines else str(error))


class Pluralism:
    """Measures inside a test; the fixture ``pluralism`` gives it."""

    def __init__(self, request: pytest.FixtureRequest, session: PluralismSession, plans: list[PlannedGate]) -> None:
        self._request = request
        self.session = session
        self._plans = plans
        self._judged: list[ReportEntry] | None = None
        self._required = 0
        #: The measurements inside the test, by identity.
        self._measured = _measured_in(request)

    @property
    def language_model(self) -> LanguageModel:
        """The model under test."""
        model: LanguageModel = self._fixture("language_model")
        return model

    def _fixture(self, name: str) -> Any:
        try:
            model = self._request.getfixturevalue(name)
        except pytest.fail.Exception:
            if name != "language_model" or self.session.settings["model"] or self._asks_language_model():
                raise
            from pytest_pluralism.models.recorded.nobody import RecordedTexts

            return RecordedTexts(NO_MODEL)
        try:
            self.session.models.refuse_unloaded(name, model)
        except PluralismError as error:
            raise pytest.fail.Exception(harmless(str(error)), pytrace=False) from None
        return model

    def _asks_language_model(self) -> bool:
        """Return whether a promise of this test asks the model under test first: not where texts were recorded."""
        first = [next(plan.evaluation.rounds(), None) for plan in self._plans]
        return any(asked is not None and asked.role == "language_model" for asked in first)

    def model_of(self, role: Role, /) -> Identified:
        """Return the model of a role, ``language_model`` or ``entailment_model``, loaded when it is first wanted."""
        from pytest_pluralism.evaluation.asking.rounds import ROLES, JudgeModel, SteeredModel

        if isinstance(role, SteeredModel):
            return self.session.models.steered_model(role, self.language_model)
        if isinstance(role, JudgeModel) or role == ROLES["similarities"]:
            return self.session.models.judging_model(role)
        model: Identified = self._fixture(role)
        return model

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts of the markers of this test, in the order of the markers; each is computed once."""
        return [entry.verdict for entry in self._entries()]

    @property
    def verdict(self) -> Verdict:
        """The verdict of the one promise of this test."""
        verdicts = self.verdicts
        if len(verdicts) != 1:
            pytest.fail(
                f"pluralism.verdict needs exactly one promise, but the markers of this test make {len(verdicts)}. "
                "Use pluralism.verdicts.",
                pytrace=False,
            )
        return verdicts[0]

    @property
    def estimate(self) -> Estimate:
        """The estimate of the one promise of this test."""
        estimate = self.verdict.estimate
        if estimate is None:
            pytest.fail(self.verdict.reason, pytrace=False)
        return estimate

    def evaluate(self, metric: str, dataset: str, /, **keywords: Any) -> Estimate:
        """Measure something and return the estimate; the keywords are those of the marker, without a promise."""
        from pytest_pluralism.evaluation.measures.gates import only_plan
        from pytest_pluralism.gate import plan_measurement

        item = self._request.node
        try:
            plans = plan_measurement(
                metric,
                dataset,
                keywords,
                self.session.settings,
                item=item,
                promise=False,
            )
            plan = only_plan(plans)
            scores, estimate, _ = self.session.models.measure(plan, self.model_of)
            self._measured.append((estimate, plan, scores))
        except PluralismError as error:
            raise pytest.fail.Exception(harmless(str(error)), pytrace=False) from None
        return estimate

    def require(self, estimate: Estimate, /, **promise: Any) -> Verdict:
        """Promise something of an estimate, such as a difference of two; fail the test when it does not hold.

        An estimate of :meth:`evaluate` is judged as a marker would judge it, with its guards and health checks.
        """
        from pytest_pluralism.core.messages import gate_words, interval_words
        from pytest_pluralism.core.records import Estimate as EstimateRecord
        from pytest_pluralism.core.records import Gate
        from pytest_pluralism.core.verdict import decide
        from pytest_pluralism.report.json_report import required_json

        try:
            if not isinstance(estimate, EstimateRecord):
                raise InvalidParameterError(
                    f"The 'estimate' parameter of require must be an Estimate, as evaluate returns. "
                    f"Got {estimate!r} instead."
                )
            unknown = set(promise) - {"at_least", "at_most", "confidence_level"}
            if unknown:
                raise InvalidParameterError(
                    f"require has no keyword {min(unknown)!r}. Keywords: at_least, at_most, confidence_level."
                )
            promise.setdefault("confidence_level", estimate.confidence_level)
            gate = Gate(**promise)
            verdict = self._as_a_marker(decide(gate, estimate), estimate)
        except PluralismError as error:
            raise pytest.fail.Exception(harmless(str(error)), pytrace=False) from None
        self._required += 1
        item = self._request.node
        identity = self.language_model.identity.as_json()
        item.stash[ENTRIES].append(
            required_json(item.nodeid, test_of(item), f"require {self._required}", verdict, identity)
        )
        if not verdict.passed:
            why = f"\n  {verdict.reason}" if verdict.reason else ""
            self._react([f"{interval_words(estimate)}, {gate_words(gate)}{why}"], [verdict])
        return verdict

    def _as_a_marker(self, verdict: Verdict, estimate: Estimate) -> Verdict:
        """Return the verdict that the marker of a measure would give; others are checked for what they come from."""
        from pytest_pluralism.core.guards import guarded

        known = next(((plan, scores) for one, plan, scores in self._measured if one is estimate), None)
        behind = () if known is not None else self._behind(estimate)
        # No difference says more of a population than the sample that both sides come from.
        guards = [one for scores in behind for one in scores.guards if one.of_sample]
        verdict = guarded(verdict, guards if known is None else known[1].guards)
        verdict, texts = self.session.judge.healthy(verdict, estimate, known, behind)
        self.session.notes += texts
        return verdict

    def _behind(self, estimate: Estimate) -> Sequence[Scores]:
        """Return the measurements of this test that an estimate is the difference of, or all where none are."""
        for left, _, scores in self._measured:
            for right, _, others in self._measured:
                with contextlib.suppress(PluralismError):
                    if abs(left.value - right.value - estimate.value) < 1e-9 and left - right == estimate:
                        return (scores, others)
        return [scores for _, _, scores in self._measured]

    def assert_promises(self) -> None:
        """Judge the markers of this test, and fail it unless every promise is kept."""
        from pytest_pluralism.core.messages import verdict_message

        entries = [entry for entry in self._entries() if not entry.verdict.passed]
        if entries:
            self._react([verdict_message(entry) for entry in entries], [entry.verdict for entry in entries])

    def _react(self, messages: list[str], verdicts: list[Verdict]) -> None:
        from pytest_pluralism.core.records import Outcome

        text = "\n".join(messages)
        policy = self.session.settings["inconclusive"]
        if policy == "fail" or any(verdict.outcome is not Outcome.INCONCLUSIVE for verdict in verdicts):
            pytest.fail(text, pytrace=False)
        if policy == "skip":
            pytest.skip(text)
        self._request.node.warn(pytest.PytestWarning(text))

    def _entries(self) -> list[ReportEntry]:
        if self._judged is None:
            from pytest_pluralism.report.json_report import entry_json

            item = self._request.node
            test = test_of(item)
            judged = []
            try:
                for plan in self._plans:
                    judged += self.session.judge.verdicts(plan, self.model_of, item.nodeid, test)
            except PluralismError as error:
                item.stash[UNJUDGED] = True
                raise pytest.fail.Exception(harmless(str(error)), pytrace=False) from None
            finally:
                item.stash[ENTRIES] += [entry_json(entry) for entry in judged]
            self._judged = judged
        return self._judged
