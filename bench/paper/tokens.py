"""Named-entity tokens: whether a token belongs to an entity, and to an entity of which type.

The data hold no words, only the votes of fifty detectors. The sixteen that their authors recommend vote
on the type. They never say that a token is no entity, so a few sources written here (from 300 development
tokens) look at what the sixteen say about the token and its neighbours, and vote on whether it is one.
Items are the tokens within one place of a vote. There being no words, the end model reads the votes of
the other detectors on the token and its neighbours: features that no source has looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from patterns import Vote, sources_of, vote_if
from problem import Problem, apply, development_items, gold_of, read_arrays

import consilience as cs

DEV_SIZE = 300
REACH = 2


@dataclass(frozen=True)
class Token:
    """What the sixteen say: the types named, token by token from two places before to two places after."""

    named: tuple[tuple[str, ...], ...]
    first: bool

    @property
    def own(self) -> tuple[str, ...]:
        """Types named for the token itself."""
        return self.named[REACH]

    @property
    def before(self) -> tuple[str, ...]:
        """Types named for the token before it."""
        return self.named[REACH - 1]

    @property
    def after(self) -> tuple[str, ...]:
        """Types named for the token after it."""
        return self.named[REACH + 1]


def silence(token: Token) -> Vote:
    """No entity: nothing is named."""
    return vote_if(not token.own, "entity", "no")


def lone_mention(token: Token) -> Vote:
    """No entity: one detector alone, and silence around."""
    return vote_if(len(token.own) == 1 and not token.before and not token.after, "entity", "no")


def weak_organisation(token: Token) -> Vote:
    """No entity: organisations named once or twice are common words."""
    return vote_if(set(token.own) == {"ORG"} and len(token.own) <= 2, "entity", "no")


def many_mentions(token: Token) -> Vote:
    """An entity: three detectors or more."""
    return vote_if(len(token.own) >= 3, "entity", "yes")


def part_of_a_run(token: Token) -> Vote:
    """An entity: its neighbour is named by several, too."""
    return vote_if(bool(token.own) and max(len(token.before), len(token.after)) >= 3, "entity", "yes")


def full_name(token: Token) -> Vote:
    """A person: two persons side by side."""
    beside = (token.before + token.after).count("PER") >= 2
    return vote_if("PER" in token.own and beside, "type", "PER")


def team(token: Token) -> Vote:
    """An organisation: a place opens the sentence, as teams do in tables of results."""
    return vote_if(token.first and set(token.own) == {"LOC"}, "type", "ORG")


def place_alone(token: Token) -> Vote:
    """A place: named by many, with silence around and not first."""
    alone = not token.before and not token.after and not token.first
    return vote_if(alone and token.own.count("LOC") >= 4, "type", "LOC")


def other_name(token: Token) -> Vote:
    """Another kind of name: detectors disagree, or name nothing better."""
    return vote_if("MISC" in token.own and Counter(token.own).most_common(1)[0][1] <= 2, "type", "MISC")


def organisation_run(token: Token) -> Vote:
    """An organisation: several organisations side by side."""
    return vote_if("ORG" in token.own and (token.before + token.after).count("ORG") >= 3, "type", "ORG")


SOURCES = sources_of(globals())


def windows(votes: NDArray[np.int8], sentence: NDArray[np.int64]) -> NDArray[np.int8]:
    """Votes on each token and its neighbours in the sentence, (n, 2 REACH + 1, m); -1 beyond its ends."""
    n = len(votes)
    result = np.full((n, 2 * REACH + 1, votes.shape[1]), cs.ABSTAIN, dtype=np.int8)
    for place, offset in enumerate(range(-REACH, REACH + 1)):
        here = np.arange(max(0, -offset), min(n, n - offset))
        here = here[sentence[here] == sentence[here + offset]]
        result[here, place] = votes[here + offset]
    return result


def load(data: Path) -> Problem:
    """The problem, from the folder that holds the data set."""
    arrays, about = read_arrays(data / "conll03_tokens")
    recommended = np.isin(np.arange(arrays["L"].shape[1]), about["recommended_source_indices"])
    classes = about["class_names"]
    around = windows(arrays["L"][:, recommended], arrays["sentence_id"])
    items = np.flatnonzero((around[:, REACH - 1 : REACH + 2] != cs.ABSTAIN).any(axis=(1, 2)))
    around = around[items]
    first = np.concatenate([[True], np.diff(arrays["sentence_id"]) != 0])[items]
    tokens = [
        Token(tuple(tuple(classes[v] for v in row if v != cs.ABSTAIN) for row in window), bool(start))
        for window, start in zip(around.tolist(), first, strict=True)
    ]
    graph = cs.TaskGraph({"entity": ["no", "yes"], "type": classes[1:]}, parents={"type": ("entity", "yes")})
    gold = gold_of(
        graph,
        ({"entity": "yes", "type": classes[y]} if y else {"entity": "no"} for y in arrays["y"][items]),
    )
    votes = apply(SOURCES, graph, tokens)
    types = around[:, REACH].astype(np.int16) - 1
    types[around[:, REACH] == cs.ABSTAIN] = cs.ABSTAIN
    votes = {
        "entity": np.hstack([votes["entity"], np.full_like(types, cs.ABSTAIN)]),
        "type": np.hstack([votes["type"], types]),
    }
    detectors = [name for name, chosen in zip(about["source_names"], recommended, strict=True) if chosen]
    names = [source.__name__ for source in SOURCES] + detectors
    others = windows(arrays["L"][:, ~recommended], arrays["sentence_id"])[items]
    features = (others[..., None] == np.arange(1, len(classes))).reshape(len(items), -1).astype(np.float32)
    features = features[:, features.any(axis=0)]
    dev = development_items(len(items), DEV_SIZE)
    return Problem("tokens", graph, features, gold, votes, tuple(names), dev)
