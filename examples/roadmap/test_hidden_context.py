"""Distributional preference learning: utilities that are estimated, with what is uncertain in the interval."""


def test_welfare_carries_what_is_uncertain(jury, pluralism):
    from pytest_pluralism.datasets.panels.loading import load_panel

    town = load_panel("example_town")
    texts = {query.query_id: query.responses[2].text for query in town.queries}
    recorded = jury("example_town", jurors="recorded", jury="whole").welfare(texts)
    sampled = jury("example_town", jurors="recorded").welfare(texts)
    print(f"\n{recorded} of these jurors alone, {sampled} of jurors like them")
    assert sampled.high - sampled.low > recorded.high - recorded.low
