"""Modular Pluralism: a large model answers with the help of community models; a patch adds a community.

Run it with the patched system as --pluralism-model, the system before as --pluralism-reference-model, and with
--pluralism-baseline=reference.
"""

import pytest

import pytest_pluralism as pp

PARTIES = ["Democrat", "Independent", "Republican"]
ASKED = {"repetitions": 1, "seed": 0, "settings": {"answers": "off"}}


@pytest.mark.js_distance("gss", population=["Democrat", "Independent", "Republican"], max_increase=0.02)
def test_the_patch_takes_nothing_from_any_party(): ...


def test_the_patch_moves_the_patched_group(pluralism, reference_language_model):
    before = pp.evaluate(reference_language_model, "js_distance", "gss", population="Republican", **ASKED)
    after = pluralism.evaluate("js_distance", "gss", population="Republican")
    pluralism.require(before - after, at_least=0.02)
