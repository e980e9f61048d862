"""The command ``consilience``: fit a label model to a file of votes, and label with it.

Exit status: 0; 2 where what was asked cannot be done (any ``ConsilienceError``), 1 where a file cannot be
read or written, 130 after Ctrl-C. Errors and warnings are one line each on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from consilience import __version__
from consilience.answers import check_output
from consilience.check import check_identifiability
from consilience.chunks import Form, is_stream, open_parquet, parquet_files
from consilience.demo import print_demo
from consilience.dependence import learn_dependencies
from consilience.exceptions import ConsilienceError, ConsilienceWarning, FileFormatError, InvalidArgumentError
from consilience.gold import GoldOrigin, read_gold
from consilience.gold_files import read_gold_file
from consilience.label_model import LabelModel, load
from consilience.statistics import graph_of
from consilience.task_graph import TaskGraph
from consilience.vote_files import read_votes
from consilience.votes import Votes

__all__ = ["main"]

_VOTES_HELP = (
    "file of votes, .csv, .npz or .parquet, or a folder or quoted pattern ('votes/*.parquet') of Parquet "
    "files, which may be larger than memory: a row an item, a column a source (or task:source), cells class "
    "indices or names, empty or -1 to abstain (in CSV among indices also nan, NA, None or null); a first "
    "column 'item' or 'id' is kept"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the command's name; by default those of the process.

    Returns
    -------
    int
        Exit status.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal cannot show stops nothing
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConsilienceWarning)
        warnings.showwarning = _show_warning
        try:
            parser = _parser()
            options = parser.parse_args(argv)
            if options.run is None:
                parser.print_help()
            else:
                options.run(options)
            sys.stdout.flush()
        except ConsilienceError as error:
            return _fail(str(error), 2)
        except BrokenPipeError:
            # Whoever read the output has seen enough. What is buffered goes nowhere when Python shuts down.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            return _fail(
                f"{error.filename}: {error.strerror}" if error.filename is not None else str(error), 1
            )
        except MemoryError as error:
            return _fail(f"not enough memory {error}", 1)
        except KeyboardInterrupt as error:
            return _fail(str(error) or "interrupted", 130)
    return 0


def _fail(message: str, status: int) -> int:
    _say("error", message)
    return status


def _say(kind: str, message: str) -> None:
    """One line on standard error, whatever the message holds."""
    print(f"consilience: {kind}: {' '.join(message.split())}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say("warning", str(message))


# Arguments


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are the package's own."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, others = self.parse_known_args(args, namespace)
        if others:
            files = any(other.endswith((".parquet", ".csv", ".npz")) for other in others)
            quote = "; VOTES is one file, or a pattern in quotes, such as 'votes/*.parquet'" if files else ""
            self.error(f"unrecognized arguments: {' '.join(others)}{quote}")
        return options

    def error(self, message: str) -> NoReturn:
        raise InvalidArgumentError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="consilience",
        description="Learn without gold labels how accurate sources of votes are, and label items by them.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"consilience {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, run: Any, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False
        )
        added.set_defaults(run=run)
        return added

    command("demo", _demo, "show the whole way on two data sets that ship with the package")

    fit = command("fit", _fit, "learn from votes, print the sources, and save the model")
    fit.add_argument("votes", metavar="VOTES", help=_VOTES_HELP)
    fit.add_argument("-o", "--output", metavar="MODEL", required=True, help="where to save the model")
    _add_model_arguments(
        fit,
        balance="by default learned where the votes tell it, and uniform elsewhere",
        dependencies="by default, sources that vote alike are found, and by method auto a few others where "
        "these explain the votes",
    )
    fit.add_argument(
        "--method", default="auto", metavar="METHOD",
        help="auto (the default; always answers), em (maximum likelihood), moments, completion (Algorithm 1 "
        "of the paper) or majority (counts votes)",
    )  # fmt: skip
    fit.add_argument(
        "--abstentions", default="auto", metavar="HOW",
        help="informative (a state of the source), missing (says nothing) or auto (the default; "
        "what the votes show)",
    )  # fmt: skip
    fit.add_argument(
        "--gold", metavar="FILE",
        help="gold labels of some items: a file like that of votes with one column of labels (or one a task, "
        "named task:gold), empty or -1 where unknown; rows by the ids of both files, or without ids an item "
        "each. VOTES must then be one file",
    )  # fmt: skip
    fit.add_argument(
        "--trusted", type=_names, action="extend", metavar="A,B,...",
        help="sources that are better than chance, by name or index from 0",
    )  # fmt: skip
    fit.add_argument(
        "--accuracy-prior", type=_beliefs, action="extend", metavar="A=ACC:VOTES,...",
        help="what you believe of sources, beside their votes: annotator=0.9:50 counts as 50 votes of which "
        "90 %% were right; for auto and em",
    )  # fmt: skip
    fit.add_argument(
        "--ordered", action=argparse.BooleanOptionalAction,
        help="whether the classes are grades, from the first to the last (the default: where votes show it)",
    )  # fmt: skip
    fit.add_argument(
        "--checkpoint", metavar="FILE",
        help="for VOTES in Parquet files: keep there, twice a minute, what was counted so far; after an "
        "interruption the same command goes on from it, and deletes it once the fit is done",
    )  # fmt: skip

    predict = command("predict", _predict, "label items by their votes with a saved model")
    predict.add_argument("model", metavar="MODEL", help="file that consilience fit saved")
    predict.add_argument(
        "votes", metavar="VOTES", help=f"{_VOTES_HELP}; the sources of the fit, matched by name"
    )
    predict.add_argument(
        "-o", "--output", metavar="LABELS", required=True,
        help="where to write labels and probabilities, .csv, .npz or .parquet; or for Parquet files a folder "
        "(with a / at its end), a file for each, where a run that was interrupted goes on",
    )  # fmt: skip

    check = command("check", _check, "tell whether accuracies can be learned from votes, without fitting")
    check.add_argument("votes", metavar="VOTES", help=_VOTES_HELP)
    _add_model_arguments(
        check,
        balance="uniform is the default",
        dependencies="by default, only sources that vote alike are found",
    )
    check.add_argument(
        "--method", default="moments", metavar="METHOD",
        help="whose equations: moments (the default) or completion",
    )  # fmt: skip
    return parser


def _add_model_arguments(command: argparse.ArgumentParser, *, balance: str, dependencies: str) -> None:
    """What both read votes and take for granted; `balance` and `dependencies` say what is so by default."""
    classes = command.add_mutually_exclusive_group()
    classes.add_argument(
        "--n-classes", type=int, metavar="K", help="number of classes, where not every one need occur"
    )
    classes.add_argument(
        "--classes", type=_names, metavar="A,B,...", help="class names, in the order of the indices"
    )
    classes.add_argument(
        "--task-graph", metavar="FILE",
        help='several tasks, as JSON: {"tasks": {task: [class, ...]}, "parents": {child: [task, class]}}, or '
        'with "feasible": [[class index of each task], ...] in place of "parents"',
    )  # fmt: skip
    command.add_argument(
        "--class-balance", type=_balance, metavar="P,P,...",
        help=f"probability of each class (of each feasible label vector), or uniform; {balance}",
    )  # fmt: skip
    command.add_argument(
        "--dependencies", type=_pairs, metavar="A:B,...",
        help="pairs of sources that depend on each other given the label, by name or index from 0; or learn; "
        f'{dependencies}; "" stands for none at all',
    )  # fmt: skip


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if "" in names:
        raise argparse.ArgumentTypeError(f"give names with commas between, not {text!r}")
    return names


def _balance(text: str) -> str | list[float]:
    if text == "uniform":
        return text
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'give "uniform" or numbers with commas between, not {text!r}'
        ) from None


def _beliefs(text: str) -> list[tuple[str, tuple[float, float]]]:
    beliefs = []
    for part in text.split(","):
        source, equals, belief = part.rpartition("=")
        try:
            accuracy, votes = map(float, belief.split(":"))
        except ValueError:
            equals = ""
        if not equals:
            raise argparse.ArgumentTypeError(f"give beliefs such as annotator=0.9:50, not {part!r}")
        beliefs.append((source.strip(), (accuracy, votes)))
    return beliefs


def _pairs(text: str) -> list[list[str]] | str:
    if text == "learn":
        return text
    pairs = [[name.strip() for name in pair.split(":")] for pair in text.split(",") if text.strip()]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise argparse.ArgumentTypeError(f"give pairs of sources such as a:b,c:d, not {':'.join(wrong)!r}")
    return pairs


# Commands


def _demo(options: argparse.Namespace) -> None:
    print_demo()


def _fit(options: argparse.Namespace) -> None:
    files = _keep(options.votes, options.task_graph, options.gold, of=options.output)
    _check_checkpoint(options)
    graph = None if options.task_graph is None else _read_task_graph(options.task_graph)
    classes = options.classes if graph is None else graph.classes
    gold = None
    if options.gold is None:
        votes, names = _open(options.votes, classes)
    else:
        votes, gold = _open_with_gold(options, graph)
        names = votes.source_names
    beliefs = {_resolved(name, names): belief for name, belief in options.accuracy_prior or ()}
    if len(beliefs) < len(options.accuracy_prior or ()):
        raise InvalidArgumentError("--accuracy-prior names a source twice; give one belief")
    model = LabelModel(
        n_classes=options.n_classes,
        classes=options.classes,
        task_graph=graph,
        class_balance=options.class_balance,
        dependencies=_resolved_pairs(options.dependencies, names),
        method=options.method,
        abstentions=options.abstentions,
        trusted=None if options.trusted is None else [_resolved(name, names) for name in options.trusted],
        accuracy_prior=beliefs or None,
        ordered=options.ordered,
    )
    try:
        model.fit(votes, y=gold, progress=sys.stderr.isatty(), checkpoint=options.checkpoint)
    except KeyboardInterrupt:
        if options.checkpoint is None or not os.path.exists(options.checkpoint):
            raise
        raise KeyboardInterrupt(f"interrupted; the same command goes on from {options.checkpoint}") from None
    with _naming(options.output, files):
        model.save(options.output)
    print(f"{model.summary()}\n\n{model.identifiability_}\n\nWrote the model to {options.output}")


def _check_checkpoint(options: argparse.Namespace) -> None:
    """Refuse a checkpoint of votes that are not read chunk by chunk."""
    if options.checkpoint is None:
        return
    if options.gold is not None:
        raise InvalidArgumentError(
            "--checkpoint does not go with --gold, for which votes are read whole; leave one of them out"
        )
    if not is_stream(options.votes):
        raise InvalidArgumentError(
            f"--checkpoint goes with votes in Parquet files, and {options.votes} is none; leave it out"
        )


def _predict(options: argparse.Namespace) -> None:
    files = _keep(options.votes, options.model, of=options.output)
    check_output(options.output, options.votes)  # an ending that cannot be written is refused before the work
    model = load(options.model)
    with _naming(options.output, files):
        written = model.predict_proba(options.votes, out=options.output, progress=sys.stderr.isatty())
    if written.n_kept == len(written.files) > 0:
        print(
            f"All files of {options.votes} were labelled before by this model ({written.n_kept}); "
            f"{options.output} is as it was"
        )
        return
    kept = f" ({written.n_kept} of {len(written.files)} files were finished before)" * bool(written.n_kept)
    print(
        f"Labelled {written.n_items} items, {written.n_voted} of them with a vote; "
        f"wrote {options.output}{kept}"
    )


def _check(options: argparse.Namespace) -> None:
    graph = None if options.task_graph is None else _read_task_graph(options.task_graph)
    votes, names = _open(options.votes, options.classes if graph is None else graph.classes)
    dependencies: Any = _resolved_pairs(options.dependencies, names)
    if isinstance(dependencies, str):
        learned = learn_dependencies(
            votes,
            n_classes=options.n_classes,
            classes=options.classes,
            task_graph=graph,
            class_balance=options.class_balance,
        )
        print(f"{learned}\n")
        dependencies = learned.pairs
    report = check_identifiability(
        votes=votes,
        n_classes=options.n_classes,
        classes=options.classes,
        task_graph=graph,
        class_balance=options.class_balance,
        dependencies=dependencies,
        method=options.method,
    )
    print(report)


# What they share


def _keep(*inputs: str | None, of: str) -> list[str]:
    """All files that are read; refuses an output that would replace one."""
    files = [
        file
        for path in inputs
        if path is not None
        for file in (path, *(parquet_files(path) if is_stream(path) else ()))
    ]
    for path in files:
        if os.path.exists(of) and os.path.exists(path) and os.path.samefile(of, path):
            raise InvalidArgumentError(f"{of} is read, and would be overwritten; give -o another name")
    return files


@contextlib.contextmanager
def _naming(output: str, inputs: Sequence[str]) -> Iterator[None]:
    """Errors of the file system that name the output, not the hidden file it is written to first."""
    try:
        yield
    except OSError as error:
        if error.filename in inputs:
            raise
        raise OSError(error.errno, f"cannot be written: {error.strerror or error}", output) from error


def _open(path: str, classes: Any) -> tuple[Any, tuple[str, ...] | None]:
    """Votes of a file, or the path of Parquet files, which are read as they are needed; names of sources."""
    votes: Any
    if is_stream(path):
        found = open_parquet(parquet_files(path), Form())
        votes, n_items, names = path, found.n_items, found.source_names
    else:
        votes = Votes.from_file(path, classes=classes)
        n_items, names = votes.n_items, votes.source_names
    if n_items == 0:
        raise FileFormatError(f"{path} has no items; give it one row an item")
    return votes, names


def _open_with_gold(options: argparse.Namespace, graph: TaskGraph | None) -> tuple[Votes, Any]:
    """Votes of a file, wholly read, and the gold labels of its items, checked."""
    path, gold, classes = options.votes, options.gold, options.classes
    if options.method == "majority":
        raise InvalidArgumentError(
            "--gold is not used by --method majority, which counts votes; leave it out, or use auto"
        )
    if is_stream(path) and parquet_files(path) != [path]:
        raise InvalidArgumentError(f"--gold goes with one file of votes, and {path} stands for several")
    found = read_votes(path, classes=classes if graph is None else graph.classes)
    votes = Votes.of_file(found, origin=path)
    if votes.n_items == 0:
        raise FileFormatError(f"{path} has no items; give it one row an item")
    names = votes.classes if graph is None else graph.classes
    labels = read_gold_file(gold, votes.n_items, found["ids"], names)
    # The fit would call them y.
    about = graph_of(votes, options.n_classes, classes) if graph is None else graph
    read_gold(labels, votes.n_items, about, GoldOrigin(gold, found["ids"]))
    return votes, labels


def _read_task_graph(path: str) -> TaskGraph:
    """Task graph of a JSON file with the arguments of ``TaskGraph``, or what ``TaskGraph.to_json`` gives."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not JSON that can be read: {error}") from error
    described = (
        isinstance(content, dict) and {"tasks", "classes", "parents", "feasible_set"} == content.keys()
    )
    if not described and not (
        isinstance(content, dict) and {"tasks"} <= content.keys() <= {"tasks", "parents", "feasible"}
    ):
        raise FileFormatError(
            f'{path} must hold {{"tasks": ..., "parents": ...}} or {{"tasks": ..., "feasible": ...}}'
        )
    try:
        return TaskGraph.from_json(content) if described else TaskGraph(**content)
    except ConsilienceError as error:
        raise FileFormatError(f"{path}: {error}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice in one object")
    return dict(pairs)


def _resolved_pairs(
    pairs: list[list[str]] | str | None, names: Sequence[str] | None
) -> list[list[int | str]] | str | None:
    """Pairs of sources by name or index; what are no pairs as it is."""
    if pairs is None or isinstance(pairs, str):
        return pairs
    return [[_resolved(source, names) for source in pair] for pair in pairs]


def _resolved(source: str, names: Sequence[str] | None) -> int | str:
    """A source by name, or by index where no source has the name."""
    return int(source) if source.isdecimal() and source not in (names or ()) else source
