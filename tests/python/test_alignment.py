"""Signs relative to each other, from evidence about pairs."""

import numpy as np

from consilience.alignment import align


def test_strong_evidence_relates_signs_through_others():
    z = np.zeros((4, 4))
    z[0, 1], z[1, 2] = 9.0, -5.0
    signs, groups = align(z)
    assert signs[0] == signs[1] == -signs[2]
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_weak_evidence_relates_nothing():
    _, groups = align(np.full((3, 3), 2.9))
    assert len(np.unique(groups)) == 3


def test_the_strongest_evidence_goes_first():
    z = np.zeros((3, 3))
    z[0, 1], z[0, 2], z[1, 2] = 9.0, 8.0, -7.0  # these contradict each other
    signs, _ = align(z)
    assert signs[0] == signs[1] == signs[2]


def test_nothing_to_align_is_no_error():
    assert len(align(np.zeros((0, 0)))[0]) == 0


def test_evidence_below_what_is_asked_for_relates_nothing():
    z = np.full((3, 3), -4.0)
    assert np.unique(align(z)[1]).size == 1
    signs, groups = align(z, 4.1)
    assert np.unique(groups).size == 3
    assert (signs == 1).all()
