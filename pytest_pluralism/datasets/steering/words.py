"""Words for the attributes of the surveys that are known here, placebos, and questions that no attribute bears on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_pluralism.core.records import Question
from pytest_pluralism.datasets.steering.templates import Attribute

__all__ = ["CATEGORY_WORDS", "PLACEBOS", "PLACEBO_FAMILIES", "UNRELATED", "attribute_of", "known_attribute"]

#: The categories of OpinionQA's attributes, such as ``POLPARTY_Democrat``, in the words of Modular Pluralism.
CATEGORY_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "POLPARTY": "political party",
        "POLIDEOLOGY": "political ideology",
        "RELIG": "religion",
        "RACE": "race",
        "EDUCATION": "education",
        "INCOME": "income",
        "CREGION": "region in the United States",
        "SEX": "Sex",
    }
)

# The categories of the Pew file, which groups its distributions by these words.
GROUP_WORDS = {
    "party": "political party",
    "ideology": "political ideology",
    "race": "race",
    "sex": "Sex",
    "age": "age",
    "education": "education",
    "religion": "religion",
    "region": "region in the United States",
    "income": "income",
}

# Somebody who has an attribute, by category and label; whatever is not here is put as "someone whose X is Y".
WHO: dict[tuple[str, str], str] = {
    ("political party", "democrat"): "a Democrat",
    ("political party", "republican"): "a Republican",
    ("political party", "independent"): "a political independent",
    ("political ideology", "very conservative"): "a very conservative person",
    ("political ideology", "conservative"): "a conservative",
    ("political ideology", "moderate"): "a political moderate",
    ("political ideology", "liberal"): "a liberal",
    ("political ideology", "very liberal"): "a very liberal person",
    ("race", "white"): "a white American",
    ("race", "white non-hispanic"): "a white American",
    ("race", "black"): "a Black American",
    ("race", "black non-hispanic"): "a Black American",
    ("race", "hispanic"): "a Hispanic American",
    ("race", "asian"): "an Asian American",
    ("Sex", "female"): "a woman",
    ("Sex", "male"): "a man",
    ("religion", "atheist"): "an atheist",
    ("religion", "protestant"): "a Protestant",
    ("religion", "roman catholic"): "a Roman Catholic",
    ("religion", "jewish"): "a Jew",
    ("religion", "muslim"): "a Muslim",
    ("religion", "hindu"): "a Hindu",
    ("religion", "buddhist"): "a Buddhist",
    ("religion", "mormon"): "a Mormon",
    ("education", "less than high school"): "someone who did not finish high school",
    ("education", "high school graduate"): "someone whose highest degree is from high school",
    ("education", "college graduate/some postgrad"): "a college graduate",
    ("region in the United States", "northeast"): "someone from the Northeast of the United States",
    ("region in the United States", "midwest"): "someone from the Midwest of the United States",
    ("region in the United States", "south"): "someone from the South of the United States",
    ("region in the United States", "west"): "someone from the West of the United States",
}

OPPOSITES: dict[tuple[str, str], str] = {
    ("political party", "democrat"): "Republican",
    ("political party", "republican"): "Democrat",
    ("political ideology", "very conservative"): "Very liberal",
    ("political ideology", "conservative"): "Liberal",
    ("political ideology", "liberal"): "Conservative",
    ("political ideology", "very liberal"): "Very conservative",
    ("Sex", "female"): "Male",
    ("Sex", "male"): "Female",
    ("education", "less than high school"): "College graduate/some postgrad",
    ("education", "college graduate/some postgrad"): "Less than high school",
    ("income", "less than $30,000"): "$100,000 or more",
    ("income", "$100,000 or more"): "Less than $30,000",
}

# The populations of `gss`.
GSS: tuple[Attribute, ...] = (
    Attribute(name="Democrat", who="a Democrat", category="political party", opposite="Republican"),
    Attribute(name="Independent", who="a political independent", category="political party"),
    Attribute(name="Republican", who="a Republican", category="political party", opposite="Democrat"),
    Attribute(name="Women", who="a woman", label="Woman", category="sex", opposite="Men"),
    Attribute(name="Men", who="a man", label="Man", category="sex", opposite="Women"),
    Attribute(name="White", who="a white American", category="race"),
    Attribute(name="Black", who="a Black American", category="race"),
    Attribute(
        name="Other race",
        who="an American who is neither white nor Black",
        label="Neither white nor Black",
        category="race",
    ),
    Attribute(
        name="Less than high school",
        who="someone who did not finish high school",
        category="highest degree",
        opposite="Graduate degree",
    ),
    Attribute(name="High school", who="someone whose highest degree is from high school", category="highest degree"),
    Attribute(
        name="Junior college", who="someone whose highest degree is from a junior college", category="highest degree"
    ),
    Attribute(name="Bachelor's degree", who="someone with a bachelor's degree", category="highest degree"),
    Attribute(
        name="Graduate degree",
        who="someone with a graduate degree",
        category="highest degree",
        opposite="Less than high school",
    ),
)

BY_NAME = {attribute.name: attribute for attribute in GSS}

#: Attributes that should move no opinion: steering to them shows what being steered at all does.
PLACEBOS: tuple[Attribute, ...] = (
    Attribute(
        name="placebo: born on a Tuesday",
        who="someone who was born on a Tuesday",
        label="Tuesday",
        category="day of birth",
    ),
    Attribute(
        name="placebo: likes green", who="someone whose favorite color is green", label="Green", category="color"
    ),
)

#: The attributes beside a placebo where one of several is chosen, by category.
PLACEBO_FAMILIES: Mapping[str, tuple[Attribute, ...]] = MappingProxyType(
    {
        "day of birth": (Attribute(name="Monday"), PLACEBOS[0], Attribute(name="Friday")),
        "color": (Attribute(name="Blue"), PLACEBOS[1], Attribute(name="Red")),
    }
)

#: Questions that no attribute bears on: what steering moves here is a side effect.
UNRELATED: tuple[Question, ...] = (
    Question("unrelated-week", "How many days are there in a week?", ("Five", "Six", "Seven")),
    Question("unrelated-ice", "What does water become when it freezes?", ("Ice", "Steam", "Sand")),
    Question("unrelated-sum", "What is two plus three?", ("Four", "Five", "Six")),
    Question("unrelated-sky", "Which of these is in the sky at night?", ("The stars", "A river", "A road")),
    Question("unrelated-legs", "How many legs does a dog have?", ("Two", "Four", "Six")),
    Question("unrelated-month", "Which month comes after March?", ("May", "April", "June")),
)


def known_attribute(name: str, /) -> Attribute:
    """Return the attribute of a population by the name of the population.

    Known are the groups of ``gss``, the codes of OpinionQA (``POLPARTY_Democrat``) and the groups of the Pew file
    (``party: Democrat``). Any other name is put as it is.

    Examples
    --------
    >>> known_attribute("POLPARTY_Democrat").you
    'you are a Democrat'
    >>> known_attribute("Japan").who
    'someone described as Japan'
    """
    if name in BY_NAME:
        return BY_NAME[name]
    code, separator, label = name.partition("_")
    if separator and code in CATEGORY_WORDS:
        return attribute_of(name, CATEGORY_WORDS[code], label, opposite_prefix=f"{code}_")
    group, separator, label = name.partition(": ")
    if separator and group in GROUP_WORDS:
        return attribute_of(name, GROUP_WORDS[group], label, opposite_prefix=f"{group}: ")
    return Attribute(name=name)


def attribute_of(name: str, category: str, label: str, /, *, opposite_prefix: str = "") -> Attribute:
    """Return the attribute with a label in a category, in words where they are known."""
    key = (category, label.casefold())
    opposite = OPPOSITES.get(key)
    return Attribute(
        name=name,
        # Surveys explain some answers in brackets.
        who=WHO.get(key, f"someone whose {category.lower()} is: {label.partition(' (')[0]}"),
        category=category,
        label=label,
        opposite=None if opposite is None else opposite_prefix + opposite,
    )
