"""Sources that vote alike on (almost) every item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from consilience.events import number_events
from consilience.source_graph import SourceGraph
from consilience.statistics import VoteStatistics

__all__ = ["find_duplicates"]

MIN_AGREEMENT = 1 - 1e-3
"""Two sources are duplicates if they agree on this share of the items on which either votes."""

MIN_ITEMS = 20
"""On fewer items than this, agreement may well be chance."""


def find_duplicates(statistics: VoteStatistics, teams: Iterable[Sequence[int]] = ()) -> NDArray[np.int64]:
    """First source of each group of duplicates, (m,): a source that has none stands for itself.

    Parameters
    ----------
    statistics : VoteStatistics
        Pair counts of the votes.
    teams : iterable of sequences of int, optional
        Sources whose votes are taken for duplicates as well, whoever is to stand for them first.
    """
    first = _vote_alike(statistics)
    for team in teams:
        first[np.isin(first, first[list(team)])] = first[team[0]]
    return first


def _vote_alike(statistics: VoteStatistics) -> NDArray[np.int64]:
    m = statistics.n_sources
    node_source = statistics.node_source
    if not len(node_source):
        return np.arange(m, dtype=np.int64)
    first = np.flatnonzero(np.diff(node_source, prepend=-1))
    present = node_source[first]
    both, n_votes = statistics.pairs_of_sources, statistics.n_votes[present]
    either = n_votes[:, None] + n_votes - both
    alike = (either >= MIN_ITEMS) & (both >= MIN_AGREEMENT * either)
    np.fill_diagonal(alike, False)
    if alike.any():  # those who vote on the same items may also agree
        _, event = number_events(statistics.node_event)
        same = np.where(event[:, None] == event, statistics.pairs, 0)
        agreements = np.add.reduceat(np.add.reduceat(same, first, axis=0), first, axis=1)
        alike &= agreements >= MIN_AGREEMENT * either
    if not alike.any():
        return np.arange(m, dtype=np.int64)
    pairs = present[np.argwhere(np.triu(alike))].tolist()
    component = SourceGraph(m, pairs).component
    _, first_member = np.unique(component, return_index=True)
    return first_member[component].astype(np.int64)
