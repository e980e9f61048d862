"""Labels of votes by a fitted model: of votes in one piece or in chunks, as arrays, frames or files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.answers import Written, frame_like, gather, write_answers
from consilience.chunks import Chunk, Form, VoteChunks, is_stream, open_chunks
from consilience.events import CodedVotes, code_votes, has_plain_events, warn_of_infeasible
from consilience.exceptions import InvalidVotesError
from consilience.fitted_model import FittedModel
from consilience.label_files import label_columns
from consilience.progress import Progress, Report, reporting
from consilience.score_table import WeightedScores
from consilience.scores import model_events
from consilience.statistics import threads_of
from consilience.task_graph import TaskGraph
from consilience.votes import Votes, as_votes

__all__ = ["Labeller"]


@dataclass(frozen=True, eq=False)
class Labeller:
    """What gives labels to votes.

    Attributes
    ----------
    model : FittedModel
        What was learned.
    parts : tuple of WeightedScores
        Its scores, see :func:`consilience.scores.score_parts`: labels average them.
    n_threads : int or None
        By default one a core. No result depends on it.
    """

    model: FittedModel
    parts: tuple[WeightedScores, ...]
    n_threads: int | None

    @property
    def _graph(self) -> TaskGraph:
        return self.model.statistics.task_graph

    # --- what is said of coded votes -----------------------------------------------------------------------

    def probabilities(self, coded: CodedVotes, *, single: bool = False) -> Any:
        """``P(Y_task = class | votes)``, (n_items, k), or {task: (n_items, k_task)}; `single` is float32."""
        graph = self._graph
        columns = [graph.feasible_set[:, r].astype(np.int32) for r in range(graph.n_tasks)]
        results = self._posterior(coded, columns, single=single)
        if graph.n_tasks == 1:
            return _widen(results[0], graph.cardinalities[0])
        return {
            task: _widen(result, k)
            for task, result, k in zip(graph.tasks, results, graph.cardinalities, strict=True)
        }

    def joint(self, coded: CodedVotes, *, single: bool = False) -> NDArray[Any]:
        """``P(Y = y | votes)`` over the feasible set, (n_items, K)."""
        vectors = np.arange(self._graph.n_vectors, dtype=np.int32)
        return self._posterior(coded, [vectors], single=single)[0]

    def labels(self, coded: CodedVotes) -> Any:
        """Class indices, (n_items,), or {task: (n_items,)}: see ``LabelModel.predict``."""
        graph = self._graph
        order = np.lexsort((np.arange(graph.n_vectors), -self.model.class_balance))
        best = self._ask(_core.most_probable, coded, preference=order.astype(np.int32))
        if has_plain_events(graph):
            return best
        labels = {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}
        return labels if graph.n_tasks > 1 else labels[graph.tasks[0]]

    def _posterior(
        self, coded: CodedVotes, class_of_vector: list[NDArray[np.int32]], *, single: bool
    ) -> list[NDArray[Any]]:
        """Marginals of the posterior; of the mean posterior, where there are several score tables."""
        results: list[NDArray[Any]] = self._ask(
            _core.posterior, coded, class_of_vector=class_of_vector, single_precision=single
        )
        return results

    def _ask(self, kernel: Callable[..., Any], coded: CodedVotes, **arguments: Any) -> Any:
        parts = [(p.weight, p.scores.of_state, p.scores.base, p.scores.link) for p in self.parts]
        try:
            return kernel(coded.view, coded.coding, parts, n_threads=threads_of(self.n_threads), **arguments)
        except _core.LabelOutOfRange as error:
            raise coded.votes.label_error(error) from None

    # --- votes in, labels out ------------------------------------------------------------------------------

    def answer(self, votes: Any, answer: Callable[[CodedVotes], Any], progress: Progress = None) -> Any:
        """Answer for all items, of votes in one piece or in chunks."""
        if not is_stream(votes):
            coded = self.code(self.read(votes))
            warn_of_infeasible(coded.n_infeasible, coded.votes.source_names, coded.votes, self._graph)
            return answer(coded)
        chunks = open_chunks(votes, self._form(), n_threads=self.n_threads)
        with reporting(progress) as report:
            return gather((answer(coded) for _, coded in self._coded(chunks, report)), chunks.n_items)

    def frame(self, votes: Any) -> Any:
        """Labels and probabilities of a frame of votes, as such a frame: see ``LabelModel.transform``."""
        coded = self.code(self.read(votes))
        warn_of_infeasible(coded.n_infeasible, coded.votes.source_names, coded.votes, self._graph)
        return frame_like(votes, label_columns(self._graph, self.labels(coded), self.probabilities(coded)))

    def write(
        self,
        votes: Any,
        out: str | os.PathLike[str],
        progress: Progress = None,
        *,
        with_probabilities: bool,
        single: bool = False,
    ) -> Written:
        """Write labels to files, chunk by chunk: see ``LabelModel.predict_proba``."""
        n_voted = 0

        def parts(chunks: VoteChunks, report: Report) -> Iterator[dict[str, Any]]:
            for chunk, coded in self._coded(chunks, report):
                probabilities = self.probabilities(coded, single=single) if with_probabilities else None
                columns = label_columns(self._graph, self.labels(coded), probabilities)
                nonlocal n_voted
                n_voted += int(np.count_nonzero(chunk.votes.voted()))
                yield columns if chunk.ids is None else {"item": chunk.ids, **columns}

        with reporting(progress) as report:
            written = write_answers(
                votes,
                out,
                replace(self._form(), with_ids=True),
                parts,
                fingerprint=lambda: self.model.to_bytes() + bytes([with_probabilities, single]),
                n_threads=self.n_threads,
                report=report,
            )
        return replace(written, n_voted=n_voted)

    def _coded(self, chunks: VoteChunks, report: Report) -> Iterator[tuple[Chunk, CodedVotes]]:
        """Chunks as the core takes them, an empty one if there are none; warns of infeasible votes."""
        statistics, n_read = self.model.statistics, 0
        n_infeasible = np.zeros(statistics.n_sources, dtype=np.int64)
        for chunk in chunks:
            coded = self.code(chunk.votes)
            yield chunk, coded
            n_read += chunk.votes.n_items
            n_infeasible += coded.n_infeasible
            report(n_read, chunks.n_items)
        if not n_read:
            table = np.empty((0, statistics.n_sources), dtype=np.int8)
            nothing = self.read(dict.fromkeys(statistics.task_graph.tasks, table))
            yield Chunk(nothing), self.code(nothing)
        warn_of_infeasible(n_infeasible, statistics.source_names)

    def _form(self) -> Form:
        """What is known of votes to be labelled."""
        return Form(
            task_graph=self._graph,
            sources=self.model.statistics.source_names,
            takes_others=True,
            answer_width=sum(self._graph.cardinalities),
        )

    def read(self, votes: Any) -> Votes:
        """Votes in one piece, their sources matched by name with those of the model."""
        return as_votes(votes, task_graph=self._graph, sources=self.model.statistics.source_names)

    def code(self, read: Votes) -> CodedVotes:
        """Votes as the core takes them, of as many sources as the model has."""
        n_sources, graph = self.model.statistics.n_sources, self._graph
        if read.n_sources != n_sources:
            raise InvalidVotesError(
                f"votes have {read.n_sources} sources (columns), the model was fitted with "
                f"{n_sources}; give the same columns"
            )
        known = None if has_plain_events(graph) else model_events(self.model)
        coded = code_votes(read, graph, known=known, n_threads=threads_of(self.n_threads))
        layout = self.parts[0].scores.layout  # the only part, where there is one
        if layout is None:
            return coded
        return replace(coded, coding=layout.code(coded.coding, model_events(self.model)))


def _widen(probabilities: NDArray[Any], k: int) -> NDArray[Any]:
    """Columns of zeros for classes that no feasible vector has."""
    missing = k - probabilities.shape[1]
    return probabilities if missing == 0 else np.pad(probabilities, ((0, 0), (0, missing)))
