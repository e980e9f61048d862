"""Packages that only some calls need."""

from __future__ import annotations

import json

import pytest

from consilience.exceptions import MissingDependencyError
from consilience.optional import require


def test_a_package_that_is_there_is_returned() -> None:
    assert require("json", install="json", purpose="This test") is json


def test_a_package_that_is_missing_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        require("no_such_package.part", install="consilience[none]", purpose="This test")

    assert str(caught.value) == (
        'This test needs the package no_such_package: pip install "consilience[none]"'
    )
