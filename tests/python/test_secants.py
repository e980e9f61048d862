"""Steps beyond the plain ones of a map, against what a linear map must do."""

import numpy as np
import pytest

from consilience.secants import MAX_CELLS, MEMORY, Secants


def linear_map(rng, eigenvalues):
    """One minus its derivative has these eigenvalues, and is symmetric in the metric."""
    d = len(eigenvalues)
    metric, fixed = rng.uniform(0.1, 10, d), rng.normal(size=d)
    turned = np.linalg.qr(rng.normal(size=(d, d)))[0]
    root = np.sqrt(metric)
    derivative = (turned * eigenvalues) @ turned.T * root / root[:, None]
    return metric, fixed, lambda x: -derivative @ (x - fixed)


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_map_is_solved_in_as_many_steps_as_it_has_eigenvalues(seed):
    rng = np.random.default_rng(seed)
    eigenvalues = np.repeat([0.002, 0.01, 0.2, 1.0], 3)
    metric, fixed, step_at = linear_map(rng, eigenvalues)
    secants, x = Secants(), rng.normal(size=len(metric))
    plain = x.copy()
    for _ in range(12):
        step = step_at(x)
        beyond = secants.beyond(x, step, metric)
        x = x + step + (0 if beyond is None else beyond)
        plain = plain + step_at(plain)
    assert np.abs(x - fixed).max() < 1e-6
    assert np.abs(plain - fixed).max() > 0.1


def test_a_saddle_is_left_and_not_returned_to():
    rng = np.random.default_rng(0)
    metric, fixed, step_at = linear_map(rng, np.array([0.5, 0.9, -0.01]))
    secants, x = Secants(), fixed + 1e-3 * rng.normal(size=3)
    distances = []
    for _ in range(14):
        step = step_at(x)
        beyond = secants.beyond(x, step, metric)
        x = x + step + (0 if beyond is None else beyond)
        distances.append(np.sqrt(metric @ np.square(x - fixed)))
    # Plain steps move away by 1 % each; Newton's would have gone to the fixed point.
    assert distances[-1] > 100 * distances[2]


def test_steps_get_shorter_after_a_failure_and_longer_again():
    def length(secants):
        secants.beyond(np.zeros(2), np.array([1.0, 0.5]), np.ones(2))
        return np.linalg.norm(secants.beyond(np.array([1.0, 0.5]), np.array([0.99, 0.2]), np.ones(2)))

    secants = Secants()
    free = length(secants)
    assert free > 5
    secants.went_down()
    shorter = length(secants)
    secants.went_up()
    assert shorter == pytest.approx(free / 4)
    assert shorter < length(secants) <= 2 * shorter + 1e-9
    secants.forget()
    assert secants.beyond(np.zeros(2), np.ones(2), np.ones(2)) is None


def test_it_remembers_the_last_few_only():
    rng = np.random.default_rng(1)
    old, fresh = Secants(), Secants()
    pairs = rng.normal(size=(20, 2, 30))
    for point, step in pairs:
        found = old.beyond(point, step, np.ones(30))
    for point, step in pairs[-MEMORY - 1 :]:
        expected = fresh.beyond(point, step, np.ones(30))
    np.testing.assert_array_equal(found, expected)


def test_points_that_do_not_move_tell_nothing():
    secants = Secants()
    secants.beyond(np.ones(3), np.full(3, 1e-9), np.ones(3))
    found = secants.beyond(np.ones(3), np.full(3, 1e-9), np.ones(3))
    assert np.isfinite(found).all()


def test_large_tables_keep_fewer_secants():
    secants = Secants()
    for seed in range(4):
        values = np.random.default_rng(seed).normal(size=(2, MAX_CELLS // 2))
        secants.beyond(*values, np.ones(MAX_CELLS // 2))
    assert len(secants._points) == 3
