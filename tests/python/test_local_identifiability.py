"""What the whole distribution of votes determines, where second moments do not: the rank of the scores."""

import itertools

import numpy as np
import pytest
from enumeration import draw, free_source, single_task
from test_junction_trees import CHAIN, model_along

import consilience as cs
from consilience import local_identifiability as module
from consilience.joint_tables import conditional
from consilience.local_identifiability import Unit, local_identifiability


def chain_units(rng, lengths, k, s=2):
    """Units of chains of sources that never abstain, with tables and all their directions."""
    units, start = [], 0
    for length in lengths:
        first = rng.dirichlet(np.ones(s), k).T
        units.append(unit(f"{start}", (start,), first, np.zeros(s, dtype=int)))
        for j in range(start, start + length - 1):
            # P(state of j + 1 | state of j, y); the state of j runs fastest.
            table = rng.dirichlet(np.ones(s), (s, k)).transpose(2, 0, 1).reshape(s * s, k)
            units.append(unit(f"{j + 1}", (j, j + 1), table, np.tile(np.arange(s), s)))
        start += length
    return units, [s] * start


def unit(name, members, table, given):
    np.testing.assert_allclose(conditional(table, given), table)
    return Unit(name, members, table, module._free_directions(table, given))


@pytest.mark.parametrize(
    ("lengths", "k", "deficit"),
    [
        ([1, 1, 1], 2, 0),
        ([3, 1], 2, 0),
        ([4], 2, 0),
        ([2, 1, 1], 2, 0),
        ([2, 2], 2, 2),
        ([2, 1], 2, None),
        ([3], 2, None),
        ([1, 1], 2, 2),
        ([1, 1, 1], 3, 4),
    ],
)
def test_chains_of_binary_sources_are_determined_as_is_known(lengths, k, deficit):
    rng = np.random.default_rng(0)
    units, sizes = chain_units(rng, lengths, k)
    found = local_identifiability(units, sizes, rng.dirichlet(np.full(k, 5.0)), balance_known=False)
    assert found.n_parameters == k - 1 + sum(k + 2 * k * (length - 1) for length in lengths)
    if deficit is None:
        assert not found.identified
    else:
        assert found.n_parameters - found.rank == deficit
    assert found.identified == (found.rank == found.n_parameters)


@pytest.mark.parametrize("lengths", [[1, 1, 1], [2, 2], [3, 1], [2, 1, 1]])
def test_the_rank_is_that_of_the_derivative_of_the_distribution(lengths):
    """Finite differences of the enumerated distribution, parameter by parameter."""
    rng = np.random.default_rng(1)
    units, sizes = chain_units(rng, lengths, 2)
    balance = np.array([0.4, 0.6])

    def distribution(balance, tables):
        rows = np.array(list(itertools.product(*map(range, sizes))))
        joint = np.tile(balance, (len(rows), 1))
        for one, table in zip(units, tables, strict=True):
            state = sum(rows[:, j] * 2**i for i, j in enumerate(one.members))
            joint = joint * table[state]
        return joint.sum(axis=1)

    tables, columns, eps = [one.table for one in units], [], 1e-6
    for u, one in enumerate(units):
        for along in np.moveaxis(one.directions, 2, 0):
            ahead, behind = (
                distribution(balance, [*tables[:u], tables[u] + step * along, *tables[u + 1 :]])
                for step in (eps, -eps)
            )
            columns.append((ahead - behind) / (2 * eps))
    step = np.array([eps, -eps])
    columns.append((distribution(balance + step, tables) - distribution(balance - step, tables)) / (2 * eps))
    singular = np.linalg.svd(np.column_stack(columns), compute_uv=False)
    found = local_identifiability(units, sizes, balance, balance_known=False)
    assert found.rank == (singular > 1e-7 * singular[0]).sum()


def test_an_open_direction_changes_no_vote_vector_and_names_who_moves():
    rng = np.random.default_rng(0)
    units, sizes = chain_units(rng, [1, 1], 2)
    third, more = chain_units(rng, [1, 1, 1], 2)
    found = local_identifiability(units, sizes, np.array([0.5, 0.5]), balance_known=True)
    assert found.rank == 3  # of four numbers, what two sources of two states tell: 2 * 2 - 1
    assert set(found.open) == {"0", "1"}
    assert found.directions.shape == (4, 1)
    assert local_identifiability(third, more, np.array([0.5, 0.5]), balance_known=True).open == ()


@pytest.mark.parametrize(("lengths", "k"), [([3, 1], 2), ([2, 2], 2), ([1, 1, 1, 1], 3)])
def test_drawn_vote_vectors_give_the_rank_of_all(lengths, k, monkeypatch):
    rng = np.random.default_rng(3)
    units, sizes = chain_units(rng, lengths, k, s=4)
    balance = rng.dirichlet(np.full(k, 5.0))
    whole = local_identifiability(units, sizes, balance, balance_known=False)
    monkeypatch.setattr(module, "MAX_ROWS", 4**4 - 1)
    drawn = local_identifiability(units, sizes, balance, balance_known=False)
    if whole.identified:  # of a flat likelihood the least eigenvalue is rounding error
        assert drawn.smallest_ratio != whole.smallest_ratio
    assert drawn.rank == whole.rank


def test_a_fit_that_moments_determine_is_locally_identified():
    rng = np.random.default_rng(0)
    exact = single_task(rng, 3, 4)
    votes, _ = draw(rng, exact, 4000)
    model = cs.LabelModel(n_classes=3, method="em").fit(votes)
    found = model.local_identifiability()
    assert found.identified
    assert found.freedom == model._model.fit.model
    n_parameters = {"one-coin": 4, "tied": 6, "free": 9}[found.freedom] * 4 + 2
    assert found.rank == found.n_parameters == n_parameters


def test_free_tables_of_three_binary_sources_are_open_with_three_classes():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (6000, 1))
    chance = np.array([[0.9, 0.5, 0.1], [0.8, 0.3, 0.2], [0.7, 0.6, 0.1]]).T[label[:, 0]]
    votes = (rng.random((6000, 3)) < chance).astype(int)
    model = cs.LabelModel(n_classes=3, method="em").fit(votes)
    found = model.local_identifiability(freedom="free")
    assert (found.n_parameters, found.rank) == (11, 7)
    assert set(found.open) >= {"source 0", "source 1", "source 2"}
    assert "4 of 11 directions open" in found.in_words()


def chain_votes(rng, lengths, n=4000):
    """Binary votes in which every source of a chain copies the one before it now and then."""
    label, columns = rng.integers(0, 2, n), []
    for length in lengths:
        for i in range(length):
            vote = np.where(rng.random(n) < 0.75, label, 1 - label)
            columns.append(np.where(rng.random(n) < 0.4, columns[-1], vote) if i else vote)
    return np.column_stack(columns)


@pytest.mark.parametrize(
    ("lengths", "identified"), [([3, 1], True), ([4], True), ([2, 2], False), ([2, 1], False), ([3], False)]
)
def test_chains_that_moments_leave_open_are_told_apart_for_a_model(lengths, identified):
    ends = np.cumsum(lengths)
    pairs = [(j, j + 1) for j in range(sum(lengths) - 1) if j + 1 not in ends]
    model = cs.LabelModel(n_classes=2, dependencies=pairs)
    with pytest.warns(cs.NotIdentifiableWarning):
        model.fit(chain_votes(np.random.default_rng(0), lengths))
    assert not model.identifiability_.identifiable
    found = model.local_identifiability()
    assert found.identified == identified
    assert "drawn at random" in str(found)
    text = str(model.summary())
    assert ("determines the tied tables locally" in " ".join(text.split())) == identified


def test_dependent_sources_that_were_learned_are_looked_at_as_they_are():
    rng = np.random.default_rng(0)
    exact = model_along(rng, CHAIN, 2)
    votes, _ = draw(rng, exact, 4000)
    model = cs.LabelModel(n_classes=2, dependencies=CHAIN, method="em").fit(votes)
    found = model.local_identifiability()
    assert found.identified
    assert found.notes == ()
    # Three singles of four numbers, 3^2 - 1 and twice 3 * 2 states a class of the cliques, the class balance.
    assert found.n_parameters == 3 * {"one-coin": 3, "tied": 4, "free": 4}[found.freedom] + 2 * (8 + 12) + 1


def test_copies_and_silent_sources_add_no_parameters():
    rng = np.random.default_rng(0)
    votes, _ = draw(rng, single_task(rng, 2, 4), 3000)
    plain = cs.LabelModel(n_classes=2, method="em").fit(votes).local_identifiability()
    with pytest.warns(cs.DuplicateSourcesWarning):
        model = cs.LabelModel(n_classes=2, method="em").fit(
            np.column_stack([votes, votes[:, 0], np.full(3000, -1)])
        )
    assert model.local_identifiability().n_parameters == plain.n_parameters


def test_too_many_parameters_and_unknown_freedoms_are_refused():
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 20, (500, 6))
    model = cs.LabelModel(n_classes=20, method="moments", class_balance="uniform")
    try:
        model.fit(votes)
    except cs.NotIdentifiableError:
        model = cs.LabelModel(n_classes=20).fit(votes)
    with pytest.raises(cs.InvalidArgumentError, match="2280 parameters are more than the 1500"):
        model.local_identifiability(freedom="free")
    votes[:250] = votes[:250, :1]
    dependent = cs.LabelModel(n_classes=20, method="em", dependencies=[(0, 1)]).fit(votes)
    with pytest.raises(cs.InvalidArgumentError, match=r"table of 'source 0 \+ source 1' has 8820 param"):
        dependent.local_identifiability()
    with pytest.raises(cs.InvalidArgumentError, match="freedom must be one of 'one-coin', 'tied', 'free'"):
        model.local_identifiability(freedom="loose")


def test_a_source_of_any_confusion_is_determined_beside_two_others():
    rng = np.random.default_rng(0)
    tables = [free_source(rng, 3).table for _ in range(3)]
    units = [unit(str(j), (j,), np.roll(t, 1, axis=0), np.zeros(4, dtype=int)) for j, t in enumerate(tables)]
    found = local_identifiability(units, [4] * 3, np.array([0.2, 0.3, 0.5]), balance_known=False)
    assert found.identified
    assert found.n_parameters == 3 * 9 + 2
