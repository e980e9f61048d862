from collections.abc import Sequence
from typing import Any, TypedDict, overload, type_check_only

import numpy as np
from numpy.typing import NDArray

__version__: str

class LabelOutOfRange(ValueError): ...
class SingularCovariance(ValueError): ...

class VoteView:
    def __init__(
        self,
        tables: Sequence[NDArray[Any] | tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
        n_items: int,
        n_sources: int,
        cardinalities: Sequence[int],
    ) -> None: ...

class StateCoding:
    def __init__(
        self, keys: NDArray[np.uint64], states: NDArray[np.int32], n_keys: int, n_states: int
    ) -> None: ...
    @staticmethod
    def of_one_task(cardinality: int) -> StateCoding: ...
    def with_components(
        self,
        start: NDArray[np.int32],
        component_of: NDArray[np.int32],
        contribution: NDArray[np.int32],
        *,
        n_components: int,
        n_states: int,
    ) -> StateCoding: ...
    @property
    def n_states(self) -> int: ...

@type_check_only
class Moments(TypedDict):
    node_source: NDArray[np.int32]
    node_state: NDArray[np.int32]
    pairs: NDArray[Any]
    triples: NDArray[Any]
    votes: NDArray[Any]
    overlaps: NDArray[Any]
    conflicts: NDArray[Any]
    n_covered: int | float

class RankOneFit:
    @property
    def z(self) -> NDArray[np.float64]: ...
    @property
    def loss(self) -> float: ...
    @property
    def gradient_norm(self) -> float: ...
    @property
    def n_iterations(self) -> int: ...
    @property
    def converged(self) -> bool: ...

def key_strides(cardinalities: Sequence[int]) -> list[int]: ...
def largest_labels(votes: VoteView, *, n_threads: int) -> list[int]: ...
def vote_vectors(votes: VoteView, *, n_threads: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]: ...
def read_states(votes: VoteView, coding: StateCoding, *, n_threads: int) -> NDArray[np.int32]: ...

MAX_NODES: int

def count_marginals(
    votes: VoteView,
    coding: StateCoding,
    disjoint: NDArray[np.uint8] | None,
    weights: NDArray[Any] | None,
    *,
    n_threads: int,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int | float]: ...
def count_moments(
    votes: VoteView,
    coding: StateCoding,
    disjoint: NDArray[np.uint8] | None,
    *,
    component: NDArray[np.int32] | None = None,
    kernel: str = "automatic",
    n_threads: int,
) -> Moments: ...
@overload
def count_weighted_moments(
    votes: VoteView,
    coding: StateCoding,
    weights: NDArray[np.int64],
    disjoint: NDArray[np.uint8] | None,
    *,
    component: NDArray[np.int32] | None = None,
    n_threads: int,
) -> Moments: ...
@overload
def count_weighted_moments(
    votes: VoteView,
    coding: StateCoding,
    weights: NDArray[np.float64],
    disjoint: NDArray[np.uint8] | None,
    *,
    component: NDArray[np.int32] | None = None,
    n_threads: int,
) -> Moments: ...
def choose_kernel(votes: VoteView, coding: StateCoding) -> str: ...
def posterior(
    votes: VoteView,
    coding: StateCoding,
    parts: Sequence[tuple[float, NDArray[np.float64], NDArray[np.float64], str]],
    *,
    class_of_vector: Sequence[NDArray[np.int32]],
    n_threads: int,
    single_precision: bool = False,
    strategy: str = "automatic",
) -> list[NDArray[Any]]: ...
def most_probable(
    votes: VoteView,
    coding: StateCoding,
    parts: Sequence[tuple[float, NDArray[np.float64], NDArray[np.float64], str]],
    *,
    preference: NDArray[np.int32],
    n_threads: int,
    strategy: str = "automatic",
) -> NDArray[np.int64]: ...
def complete_rank_one(
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: NDArray[np.float64],
    *,
    max_iterations: int = 500,
    tolerance: float = 1e-10,
) -> RankOneFit: ...
def rank_one_loss(
    target: NDArray[np.float64], weight: NDArray[np.float64], z: NDArray[np.float64]
) -> float: ...
def rank_one_gradient(
    target: NDArray[np.float64], weight: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def rank_one_hessian(
    target: NDArray[np.float64], weight: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def invert_covariance(
    covariance: NDArray[np.float64], *, ridge: float = 0.0, min_reciprocal: float = 1e-12
) -> NDArray[np.float64]: ...

class Patterns:
    def __len__(self) -> int: ...
    @property
    def weight(self) -> NDArray[np.float64]: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def n_votes(self) -> NDArray[np.int64]: ...
    def select(
        self, rows: NDArray[np.int64], weights: NDArray[np.float64], columns: NDArray[np.uint8]
    ) -> Patterns: ...
    def thinned(self, one_in: float, *, n_threads: int) -> Patterns: ...
    def with_states(self, number: NDArray[np.int32], n_states: int) -> Patterns: ...
    def with_column_per_state(self, kept: NDArray[np.bool_]) -> Patterns: ...
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]: ...

def find_patterns(
    votes: VoteView,
    coding: StateCoding,
    weights: NDArray[np.float64] | None,
    left_out: NDArray[np.bool_] | None = None,
    *,
    n_threads: int = 1,
) -> Patterns: ...
def list_votes(
    votes: VoteView, coding: StateCoding
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]: ...
def find_few_patterns(
    votes: VoteView,
    coding: StateCoding,
    at_most: int,
    left_out: NDArray[np.bool_] | None = None,
    *,
    n_threads: int,
) -> Patterns | None: ...
def expect(
    patterns: Patterns,
    of_state: NDArray[np.float64],
    base: NDArray[np.float64],
    vote_of_state: NDArray[np.float64] | None = None,
    *,
    vote_share: float = 0.0,
    n_threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]: ...
def expect_items(
    votes: VoteView,
    coding: StateCoding,
    of_state: NDArray[np.float64],
    base: NDArray[np.float64],
    left_out: NDArray[np.bool_] | None = None,
    *,
    n_threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]: ...
def expect_exactly(
    patterns: Patterns,
    of_state: NDArray[np.float64],
    base: NDArray[np.float64],
    *,
    n_threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]: ...
def told_by_others(
    patterns: Patterns,
    of_state: NDArray[np.float64],
    base: NDArray[np.float64],
    vote_of_state: NDArray[np.float64],
    *,
    vote_share: float,
    n_threads: int,
) -> NDArray[np.float64]: ...
def preferred(
    patterns: Patterns, of_state: NDArray[np.float64], base: NDArray[np.float64]
) -> NDArray[np.int32]: ...
def held_out_votes(
    patterns: Patterns,
    of_state: NDArray[np.float64],
    base: NDArray[np.float64],
    vote_of_state: NDArray[np.float64],
    of_vote: NDArray[np.float64],
    included: NDArray[np.uint8],
    *,
    temperatures: Sequence[float],
    shares: Sequence[float],
    given: NDArray[np.float64] | None = None,
    n_threads: int,
) -> tuple[NDArray[np.float64], float]: ...
def dirichlet_evidence(
    counts: NDArray[np.float64],
    centre: NDArray[np.float64],
    group: NDArray[np.int64],
    strengths: Sequence[float],
) -> list[float]: ...
def simd_levels() -> list[str]: ...
def simd_level() -> str: ...
def select_simd_level(name: str) -> None: ...
