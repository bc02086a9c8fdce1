"""Cityscapes' classes are those of the official tool."""

from cityscapesscripts.helpers.labels import id2label, labels

from pointrend_repro.data.cityscapes_classes import CLASSES, LAST_ID
from pointrend_repro.declarations.official_keys import STUFF, THINGS


def test_classes_are_the_evaluated_ones_in_order() -> None:
    evaluated = [label for label in labels if label.id >= 0 and not label.ignoreInEval]
    wanted = sorted(evaluated, key=lambda label: label.trainId)
    assert [label.trainId for label in wanted] == list(range(19))
    assert [tuple(each) for each in CLASSES] == [
        (label.id, label.name, label.color, label.hasInstances) for label in wanted
    ]
    assert max(id2label) == LAST_ID
    assert tuple(each.name for each in CLASSES) == (*STUFF, *THINGS)
