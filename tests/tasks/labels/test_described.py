from __future__ import annotations

import pytest

from artifacts import Artifact
from tasks.errors import InputError
from tasks.labels.described import Class, read_described_space
from tests.label_spaces import STREET


def test_classes_properties_and_members_are_those_of_the_tables(street: Artifact) -> None:
    space = read_described_space(street)
    assert [owner.name for owner in space.classes] == list(STREET)
    assert {item.text for item in space.of_class(Class("", "bus"))} == set(STREET["bus"])
    members = [item for number in range(12) for item in space.members(number)]
    assert sorted(members, key=str) == sorted(space.descriptions, key=str)
    for owner, own in space.classes.items():
        assert own == {item.property_id for item in space.of_class(owner)}


def test_names_are_found_whatever_their_case_and_properties_by_number_too(street: Artifact) -> None:
    space = read_described_space(street)
    assert space.find_classes(" Road ") == [Class("", "road")]
    assert space.find_property(space.properties.names[7].upper()) == 7
    assert space.find_property("7") == 7


def test_unknown_names_come_with_the_nearest_ones(street: Artifact) -> None:
    space = read_described_space(street)
    with pytest.raises(InputError, match="has no class 'raod'; did you mean 'road'"):
        space.find_classes("raod")
    with pytest.raises(InputError, match="has no property '12' among its 12"):
        space.find_property("12")


def test_a_class_of_several_data_sets_is_found_in_each_or_in_one(joint: Artifact) -> None:
    space = read_described_space(joint)
    assert space.find_classes("bush") == [Class("roads", "bush"), Class("plants", "bush")]
    assert space.find_classes("bush (plants)") == [Class("plants", "bush")]


def test_one_data_set_is_selected(joint: Artifact, street: Artifact) -> None:
    space = read_described_space(joint)
    plants = space.select("plants")
    assert list(map(str, plants.classes)) == ["tree (plants)", "bush (plants)"]
    assert {item.owner.dataset for item in plants.descriptions} == {"plants"}
    with pytest.raises(InputError, match="name one of roads, plants with --dataset"):
        space.select(None)
    with pytest.raises(InputError, match="no data set 'sea'; it names roads, plants"):
        space.select("sea")
    with pytest.raises(InputError, match="none, since it is of a single one"):
        read_described_space(street).select("sea")
