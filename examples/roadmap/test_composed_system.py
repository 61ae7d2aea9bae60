"""A composed system against its plain main model, or against the mixture of its parts.

Run it with the system as --pluralism-model, and the other one as --pluralism-reference-model.
"""

import pytest

import pytest_pluralism as pp

PARTIES = ["Democrat", "Independent", "Republican"]
ASKED = {"repetitions": 1, "seed": 0, "settings": {"answers": "off"}}


@pytest.mark.parametrize("party", PARTIES)
def test_closer_to_each_party(party, pluralism, reference_language_model):
    plain = pp.evaluate(reference_language_model, "js_distance", "gss", population=party, **ASKED)
    composed = pluralism.evaluate("js_distance", "gss", population=party)
    pluralism.require(plain - composed, at_least=0.02)
