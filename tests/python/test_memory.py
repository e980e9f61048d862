"""How much memory fit and predict take beyond the votes and the answer, for any number of items."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

if not os.access("/proc/self/clear_refs", os.W_OK):
    pytest.skip("only Linux measures the peak of resident memory anew", allow_module_level=True)

MEASURE = """
import re
import sys
from pathlib import Path

import numpy as np

import consilience as cs

form, method, n, n_gold = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


rng = np.random.default_rng(0)
label = rng.integers(0, 2, n, dtype=np.int8)
if form != "sparse":
    m = int(form)
    votes = np.empty((n, m), dtype=np.int8)
    for j in range(m):
        votes[:, j] = np.where(rng.random(n, dtype=np.float32) < 0.8, label, 1 - label)
        votes[rng.random(n, dtype=np.float32) < 0.7, j] = -1
else:  # 300 sources, 3 votes an item
    import scipy.sparse

    column = rng.integers(0, 100, (n, 3)) + [0, 100, 200]
    vote = np.where(rng.random((n, 3), dtype=np.float32) < 0.8, label[:, None], 1 - label[:, None]) + 1
    start = np.arange(0, 3 * n + 1, 3)
    votes = scipy.sparse.csr_array((vote.astype(np.int8).ravel(), column.ravel(), start), shape=(n, 300))
    del column, vote, start
gold = None
if n_gold:
    gold = label
    gold[n_gold:] = -1
del label
fit = cs.LabelModel(n_classes=2, method=method, n_threads=1)
fit.fit(votes[:2000])
fit.predict_proba(votes[:2000])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = peak()
answer = fit.fit(votes, y=gold).predict_proba(votes)
print(peak() - before - answer.nbytes)
"""


def added(form: str, method: str, n: int, n_gold: int = 0) -> int:
    command = [sys.executable, "-c", MEASURE, form, method, str(n), str(n_gold)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("method", ["moments", "auto", "majority"])
def test_fit_and_predict_add_less_than_64_mb_to_the_votes_and_the_answer(method):
    assert added("10", method, 2_000_000) < 64e6


def test_a_fit_adds_less_than_64_mb_where_most_of_the_rows_differ():
    assert added("24", "auto", 2_000_000) < 64e6  # 1.6 million rows


def test_gold_adds_no_more():
    assert added("24", "auto", 2_000_000, 1000) < 64e6


def test_sparse_votes_are_never_made_dense():
    pytest.importorskip("scipy")
    assert added("sparse", "moments", 1_000_000) < 64e6  # dense: 300 MB
