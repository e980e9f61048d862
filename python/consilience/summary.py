"""A fitted model at a glance: a row for each source, and what to know about the fit."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from consilience.class_balance import is_told
from consilience.exceptions import InvalidArgumentError, in_digits
from consilience.fitted_model import FittedModel
from consilience.fitting import PRIOR_KEPT
from consilience.joint_forms import FORMS
from consilience.local_identifiability import local_identifiability_of
from consilience.table import Table

__all__ = ["summarise"]

MAX_PARAMETERS = 300
"""Parameters up to which it is worked out what the whole distribution of the votes tells."""


def summarise(
    model: FittedModel,
    accuracy: NDArray[np.float64],
    intervals: NDArray[np.float64],
    balance_error: NDArray[np.float64] | None,
) -> Table:
    """Table of the sources, with notes on the fit: see ``LabelModel.summary``.

    Parameters
    ----------
    model : FittedModel
        What was learned.
    accuracy, intervals : (m,) and (m, 2) float64 arrays
        Of the sources.
    balance_error : (K,) float64 array or None
        Standard errors of the class balance, where it was learned and the votes tell it.
    """
    statistics, report = model.statistics, model.fit.report
    n, learned = statistics.n, model.fit.learned
    notes = [f"method: {model.params['method']}"]
    if model.fit.model is not None:
        notes.append(f"tables: {model.fit.model}, by BIC")
        forms = Counter(component.form for component in model.fit.components)
        if forms:
            listed_forms = ", ".join(f"{forms[name]} {name}" for name in FORMS if name in forms)
            notes.append(f"joint tables of dependent sources: {listed_forms}")
    if model.fit.missing is not None and not model.fit.parts:
        notes.append("abstentions: " + _describe_abstentions(model))
    if model.params["class_balance"] is None:
        notes.append("class balance: " + _describe_balance(model, balance_error))
    if not report.identifiable:
        notes += ["not identifiable: " + " ".join(report.advice)]
        notes += _locally_identified(model)
    if model.n_gold:
        notes.append(f"gold labels of {in_digits(model.n_gold)} items")
    notes += model.fit.remarks
    if model.dependencies is not None:
        notes.append(model.dependencies.in_words())
    infeasible = int(statistics.n_infeasible.sum())
    if infeasible:
        notes.append(f"{infeasible} infeasible votes were taken as abstentions")
    # A cautious fit has taken up what other votes say, if little.
    prior = "drawn to prior" if model.fit.parts else PRIOR_KEPT
    of_sources = [[prior if note == PRIOR_KEPT else note for note in own] for own in model.fit.notes]
    if any(prior in own for own in of_sources):
        holds = "what prior and votes come to" if model.fit.parts else "the prior"
        notes.append(f"accuracies without a figure were not learned: accuracy_ holds {holds}")
    items, voted = in_digits(n), statistics.n_covered / n
    return Table(
        {
            "source": report.source_names,
            "coverage": statistics.n_votes / n,
            "overlaps": statistics.n_overlaps / n,
            "conflicts": statistics.n_conflicts / n,
            "accuracy": [a if known else None for a, known in zip(accuracy, learned, strict=True)],
            "interval": [
                tuple(interval) if known else None
                for interval, known in zip(intervals.tolist(), learned, strict=True)
            ],
            "notes": ["; ".join(own) for own in of_sources],
        },
        title=f"{statistics.n_sources} sources, {items} items, {voted:.1%} with a vote",
        notes=notes,
    )


def _locally_identified(model: FittedModel) -> list[str]:
    """What is to be said of tables that second moments do not determine and the distribution does."""
    if model.fit.method == "majority":
        return []
    try:
        local = local_identifiability_of(model, max_parameters=MAX_PARAMETERS)
    except InvalidArgumentError:  # too many parameters
        return []
    return [f"second moments do not, but {local.in_words()}"] if local.identified else []


def _describe_abstentions(model: FittedModel) -> str:
    """Of which sources they were found to say nothing."""
    ever = model.statistics.n_votes < model.statistics.n
    found = Counter(kind for kind, own in zip(model.abstentions, ever.tolist(), strict=True) if own)
    if len(found) <= 1:
        return "none" if not found else "they say nothing" if "missing" in found else "informative"
    return f"of {found['missing']} sources they say nothing, of {found['informative']} they are informative"


def _describe_balance(model: FittedModel, error: NDArray[np.float64] | None) -> str:
    if error is None:
        if model.fit.parts:
            found = ", ".join(f"{p:.2g}" for p in model.class_balance[:6])
            found += ", …" if len(model.class_balance) > 6 else ""
            return (
                f"{found}, drawn towards uniform; votes alone do not tell it: give class_balance if "
                "you know it"
            )
        if model.fit.balance_learned:
            return "learned, but how sure it is is not known; give class_balance if you know it"
        assumed = "assumed uniform; give class_balance if you know it"
        if model.balance_error is not None:
            return f"the votes cannot tell it; {assumed}"
        if model.params["method"] == "majority":
            return assumed
        if not model.fit.learned.any():  # nor would triples tell it
            return f"these votes do not tell it, more items or better sources may; {assumed}"
        if model.fit.model is None and model.statistics.triples is None:  # fitted to statistics
            return f"{assumed}, or fit the votes, or VoteStatistics.of(..., triples=True)"
        return assumed
    shares = [f"{p:.3g} ± {e:.2g}" for p, e in zip(model.class_balance[:6], error, strict=False)]
    by = "the votes"
    if model.n_gold and model.fit.balance_learned:
        by = "votes and gold"
    elif model.balance_by_gold:
        by = "gold"
    hardly = "" if is_told(error) else "; they hardly tell it: give class_balance if you know it"
    return f"{', '.join(shares)}{', ...' if len(error) > 6 else ''} (standard errors), from {by}{hardly}"
