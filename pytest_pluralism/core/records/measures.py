"""Measures: everything that is said of a measure, stated once; free of numpy, because the plugin reads it at start."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_pluralism.core.errors import InvalidParameterError, did_you_mean, invalid_parameter
from pytest_pluralism.core.records.plain import JsonFields, JsonObject

__all__ = ["POPULATION", "SYSTEM", "Measure", "Noun", "Term"]

#: Stands before the name of another population among the references of a unit.
POPULATION = "population:"

#: Stands before the name of another system among the references of a unit.
SYSTEM = "system:"

#: Whether a value is a mean of the units, the share of them for which something holds, or a mean difference.
KINDS = ("mean", "share", "difference")


@dataclass(frozen=True, slots=True)
class Noun:
    """Name a kind of thing, one of it and many.

    Attributes
    ----------
    one, many : str
        The singular and the plural, ``"query"`` and ``"queries"``.
    """

    one: str
    many: str

    def of(self, number: float, /) -> str:
        """Return the form for a number, ``"query"`` for 1."""
        return self.one if number == 1 else self.many


@dataclass(frozen=True, slots=True)
class Term:
    """Give the words for a value that has a name in the scores.

    Attributes
    ----------
    name : str
        The name in :class:`~pytest_pluralism.core.records.Scores` and in the JSON report. One ``{n}`` in it stands for
        a whole number: ``"first_{n}_words"``.
    words : str
        The words that a message and a report show; ``{n}`` is that number.
    brief : bool
        Whether it stands in the message of a failure too, where there is room for a few; a report shows all.
    """

    name: str
    words: str
    brief: bool = True


@dataclass(frozen=True)
class Measure:
    """Everything that is said of a measure: messages, the terminal, and every form of report read it from here.

    Attributes
    ----------
    name : str
        The name of the marker, and ``metric`` in reports.
    direction : {"lower", "higher"}
        Which values are better.
    title : str
        The words for the value, ``"JS distance"``.
    description : str
        One clause that says what is measured, for ``pytest --markers``.
    lowest, highest : float
        The range of the value.
    kind : {"mean", "share", "difference"}
        Whether the value is a mean of the units, the share of them for which something holds, or a mean difference
        between two models or two ways to ask one.
    unit : Noun
        The units: what one value each belongs to.
    data : str
        The word for what is given to the marker, ``"survey"``.
    people : Noun
        The people that the number is about; of a crossed measure, the second dimension of its units.
    towards : str
        The preposition between the title and the population, ``"to"``.
    everybody : str
        The words for the population when none is named; without them the title stands alone.
    references : tuple of Term
        The values that can stand beside the measured one, in the order in which they are shown. The scores may hold
        others, which are shown last.
    beside : str
        The name of the reference that is shown where there is room for a single one.
    comparisons : tuple of Term
        The references that ``better_than`` may name: ``words`` as a promise writes it, ``name`` as a unit keeps it.
    compares_people : bool
        Whether ``better_than`` may name another population.
    compares_systems : bool
        Whether ``better_than`` may name another system, whose responses the data hold.
    others : Noun
        The other populations beside the measured one.
    has_nearest : bool
        Whether the nearest of the others says something; not so where they are the parts of one population.
    columns : tuple of Term
        The numbers of a unit that a report shows beside its value.
    facts : tuple of Term
        A sentence about the other parts of a unit that a report shows.
    figures : tuple of Term
        The single numbers among the details of the scores that a report shows; ``a.b`` is the entry ``b`` of ``a``.
    view : str
        The name of a view of its own in the reports; measures without one have the views that all share.
    definition : int
        The version of the definition, stored with every result. It rises when equal answers get another value, so that
        results of two definitions are not compared.

    Raises
    ------
    InvalidParameterError
        ``direction``, ``kind``, the range or ``definition`` is not one of the above.

    Examples
    --------
    >>> Measure("js_distance", "lower", "JS distance").promises
    ('at_most', 'max_increase', 'max_unit_increase')
    """

    name: str
    direction: str
    title: str
    description: str = ""
    lowest: float = float("-inf")
    highest: float = float("inf")
    kind: str = "mean"
    unit: Noun = Noun("question", "questions")
    data: str = "survey"
    people: Noun = Noun("person", "people")
    towards: str = "to"
    everybody: str = ""
    references: tuple[Term, ...] = ()
    beside: str = ""
    comparisons: tuple[Term, ...] = ()
    compares_people: bool = False
    compares_systems: bool = False
    others: Noun = Noun("population", "populations")
    has_nearest: bool = True
    columns: tuple[Term, ...] = ()
    facts: tuple[Term, ...] = ()
    figures: tuple[Term, ...] = ()
    view: str = ""
    definition: int = 1

    def __post_init__(self) -> None:
        for name, known in (("direction", ("lower", "higher")), ("kind", KINDS)):
            if getattr(self, name) not in known:
                must = " or ".join(map(repr, known))
                raise invalid_parameter(name, f"the measure {self.name!r}", must, repr(getattr(self, name))[:80])
        if not self.lowest < self.highest:
            must = f"below {self.highest:g}"
            raise invalid_parameter("lowest", f"the measure {self.name!r}", must, f"{self.lowest:g}")
        if isinstance(self.definition, bool) or not isinstance(self.definition, int) or self.definition < 1:
            must = "a whole number from 1"
            raise invalid_parameter("definition", f"the measure {self.name!r}", must, repr(self.definition)[:80])

    @property
    def promises(self) -> tuple[str, str, str]:
        """The bounds that make sense for the direction: of the value, of its change, of the change of each unit."""
        if self.direction == "lower":
            return ("at_most", "max_increase", "max_unit_increase")
        return ("at_least", "max_decrease", "max_unit_decrease")

    @property
    def is_relative(self) -> bool:
        """Whether a promise may name a reference with ``better_than``."""
        return bool(self.comparisons) or self.compares_people or self.compares_systems

    def reference_key(self, word: str, /) -> str:
        """Return the name under which a unit keeps the reference that a promise names.

        Parameters
        ----------
        word : str
            The words of one of ``comparisons``, else the name of a population or of a system. One that is called like
            a reference is written ``population:uniform`` or ``system:uniform``.

        Raises
        ------
        InvalidParameterError
            The measure has no such reference.

        Examples
        --------
        >>> distance = Measure(
        ...     "js_distance", "lower", "JS distance", comparisons=(Term("shuffle", "shuffled"),), compares_people=True
        ... )
        >>> distance.reference_key("shuffled"), distance.reference_key("Democrat")
        ('shuffle', 'population:Democrat')
        """
        words = {term.words: term.name for term in self.comparisons}
        if word in words:
            return words[word]
        if self.compares_people:
            return word if word.startswith(POPULATION) else f"{POPULATION}{word}"
        if self.compares_systems:
            return word if word.startswith(SYSTEM) else f"{SYSTEM}{word}"
        hint = did_you_mean(word, words)
        known = ", ".join(map(repr, words)) or "none"
        raise InvalidParameterError(f"better_than={word!r}: {self.name} has no such reference. It has {known}.{hint}")

    def as_json(self) -> JsonFields:
        """Return the entry as plain JSON values, which a report carries so that its readers need no registry."""
        result: JsonFields = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Noun):
                value = [value.one, value.many]
            elif isinstance(value, tuple):
                value = [{"name": term.name, "words": term.words, "brief": term.brief} for term in value]
            elif isinstance(value, float) and value in (float("-inf"), float("inf")):
                value = None
            result[name] = value
        return result

    @classmethod
    def from_json(cls, content: JsonObject, /) -> Measure:
        """Return the measure that :meth:`as_json` wrote; fields that are missing have their defaults."""
        given: JsonFields = {}
        for name, field in cls.__dataclass_fields__.items():
            value = content.get(name)
            if value is None:
                continue
            if isinstance(field.default, Noun):
                value = Noun(*value)
            elif isinstance(field.default, tuple):
                value = tuple(Term(**term) for term in value)
            given[name] = value
        return cls(**given)
