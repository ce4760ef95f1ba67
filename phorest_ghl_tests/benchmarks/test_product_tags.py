"""`bench product-tags` at a tiny size: whoever bought is tagged by bulk calls, as few as there can be."""

import pytest

from benchmarks import product_tags
from benchmarks.report import Options

pytestmark = pytest.mark.road


def test_buyers_are_tagged_by_as_few_bulk_calls_as_there_can_be_and_nobody_else_is() -> None:
    said: list[str] = []
    report = product_tags.run(Options(clients=40), said.append)
    (figures,) = report.figures.values()
    assert 0 < int(figures["buyers"]) < int(figures["taggings"])
    assert figures["bulk_calls"] == figures["tags"]
    assert figures["requests"] == figures["bound"] == int(figures["bulk_calls"]) + 1
    assert figures["wrongly_tagged"] == 0
    assert figures["unchanged_writes"] == 0
    assert report.holds
    assert len(said) == 3
