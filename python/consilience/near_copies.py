"""Teams of near-copies: sources that say the same, right or wrong, and should count once.

Sources that mostly repeat one another agree on far more items than the label explains. As joint tables more
than a few of them have too many states, and as independent sources they outvote the rest. They show in pairs:
their votes agree as only very accurate sources could, while the sources outside do not bear them out.

Which of two groups that each agree within themselves follows the label, no votes can tell. The one whose
members all but repeat each other is taken for the team: that many sources are all but never wrong, and
all others wrong together, is held to be rarer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consilience.chi_square import chi_square_scores, normal_score
from consilience.dependence import FALSE_RATE, SCALE
from consilience.dependency_report import DependencyReport
from consilience.duplicates import find_duplicates
from consilience.pair_tables import PairTables, TiedModel
from consilience.source_graph import names_of_sources
from consilience.statistics import VoteStatistics

__all__ = ["find_teams"]

NEAR = 0.6
"""Least share of a team's votes that agree, of those that neither the label nor chance makes agree. With two
classes, independent sources would have to be right on nearly nine items of ten to agree like that."""

MIN_MEMBERS = 3
"""Two near-copies are modelled together rather than counted once."""

MIN_OUTSIDE = 6
"""Fewer sources outside a team are no match for it: who copies whom is then open."""

N_ROUNDS = 8
"""Of the fit to the pairs outside a team, in which those that it cannot explain lose their weight."""

Array = NDArray[np.float64]


def find_teams(statistics: VoteStatistics, class_balance: Array) -> DependencyReport:
    """Teams of near-copies among sources that vote for several classes.

    Parameters
    ----------
    statistics : VoteStatistics
        Of the votes; duplicates are left out.
    class_balance : (K,) float64 array
        ``P(Y)``, or a start.

    Returns
    -------
    DependencyReport
        Of teams alone; the first member of each agrees most with the others.
    """
    names = names_of_sources(statistics.source_names, statistics.n_sources)
    report = DependencyReport((), names, 0)
    own = find_duplicates(statistics) == np.arange(statistics.n_sources)
    tables = PairTables(statistics, class_balance, own)
    m = tables.n_sources
    if m < MIN_MEMBERS + MIN_OUTSIDE or len(class_balance) < 2:
        return report
    model = TiedModel(tables)
    limit = normal_score(FALSE_RATE / (m * (m - 1) / 2))
    agreement = tables.agreement(tables.covariance)
    counted = np.ones(m, dtype=np.bool_)
    teams: list[tuple[int, ...]] = []
    for group in _alike(np.where(tables.opinionated, agreement, 0.0)):
        inside = np.isin(np.arange(m), group)
        if np.count_nonzero(counted & ~inside) < MIN_OUTSIDE:
            continue
        # What the pairs outside of the group, robustly fitted, say that its pairs should look like.
        used = np.outer(counted, counted) & tables.apart & ~np.outer(inside, inside)
        weight = used.astype(np.float64)
        null = model.fit(weight, model.start(weight))
        for _ in range(N_ROUNDS):
            weight = np.where(used, 1 / (1 + tables.misfit(null) / tables.df / SCALE) ** 2, 0.0)
            null = model.fit(weight, null.parameters)
        square = np.ix_(group, group)
        apart = tables.apart[square]
        explained = tables.agreement(null.covariance)[square]
        beyond = (agreement[square] - explained) / np.maximum(1 - explained, 1e-12)
        score = chi_square_scores(tables.opinion_misfit(null)[square], tables.opinion_df[square])
        if beyond[apart].mean() < NEAR or np.median(score[apart]) < limit:
            continue
        central = group[int(np.argmax(tables.agreements[square].sum(axis=1)))]
        ordered = [central, *(j for j in group if j != central)]
        counted[ordered[1:]] = False
        teams.append(tuple(tables.sources[ordered].tolist()))
    return replace(report, n_pairs=m * (m - 1) // 2, teams=tuple(teams))


def _alike(agreement: Array) -> list[list[int]]:
    """Groups of sources that agree by ``NEAR`` on average, by average linkage; those most alike first."""
    groups = [[j] for j in range(len(agreement))]
    mean = agreement.copy()
    np.fill_diagonal(mean, -1.0)
    while len(groups) > 1:
        i, j = sorted(int(at) for at in np.unravel_index(int(np.argmax(mean)), mean.shape))
        if mean[i, j] < NEAR:
            break
        a, b = len(groups[i]), len(groups[j])
        mean[i] = mean[:, i] = (a * mean[i] + b * mean[j]) / (a + b)
        mean[i, i] = -1.0
        mean = np.delete(np.delete(mean, j, axis=0), j, axis=1)
        groups[i] = sorted(groups[i] + groups.pop(j))

    def within(group: list[int]) -> float:
        square = agreement[np.ix_(group, group)]
        return float(square.sum() - np.trace(square)) / (len(group) * (len(group) - 1))

    return sorted((group for group in groups if len(group) >= MIN_MEMBERS), key=lambda g: (-within(g), g))
