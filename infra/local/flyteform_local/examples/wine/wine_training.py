"""Train a wine classifier on the data that scikit-learn ships: load, split, train over parameters, evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flyteform import Resources, map_task, task, workflow


@dataclass(frozen=True)
class Table:
    """Measurements, one row a wine, and the cultivar that each is of."""

    columns: list[str]
    rows: list[list[float]]
    cultivars: list[int]


@dataclass(frozen=True)
class Split:
    """The wines to learn from and those to judge by."""

    training: Table
    test: Table


@dataclass(frozen=True)
class Candidate:
    """A linear classifier: what it was trained with and what it learned."""

    regularization: float
    validation_accuracy: float
    mean: list[float]
    scale: list[float]
    coefficients: list[list[float]]
    intercepts: list[float]


@dataclass(frozen=True)
class Report:
    """How good the best candidate is on wines that it has never seen."""

    regularization: float
    test_accuracy: float
    wines_tested: int
    most_telling_measurement: str


@task(cache=True, cache_version="1")
def load() -> Table:
    """Load the 178 wines; cached, so that a second run does not load them again."""
    from sklearn.datasets import load_wine

    wines = load_wine()
    return Table(
        columns=[str(name) for name in wines.feature_names],
        rows=wines.data.tolist(),
        cultivars=wines.target.tolist(),
    )


@task
def split(table: Table, test_share: float, seed: int) -> Split:
    """Hold back a share of the wines, evenly over the cultivars."""
    from sklearn.model_selection import train_test_split

    training, test, training_cultivars, test_cultivars = train_test_split(
        table.rows,
        table.cultivars,
        test_size=test_share,
        random_state=seed,
        stratify=table.cultivars,
    )
    return Split(
        training=Table(table.columns, training, training_cultivars),
        test=Table(table.columns, test, test_cultivars),
    )


@task(retries=2, requests=Resources(cpu="1", mem="512Mi"))
def train(regularization: float, data: Split) -> Candidate:
    """Train one classifier and judge it by cross-validation within the training wines."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(C=regularization, max_iter=1000)
    pipeline = make_pipeline(StandardScaler(), classifier)
    scores = cross_val_score(pipeline, data.training.rows, data.training.cultivars, cv=5)
    pipeline.fit(data.training.rows, data.training.cultivars)
    scaler = pipeline.named_steps["standardscaler"]
    return Candidate(
        regularization=regularization,
        validation_accuracy=float(scores.mean()),
        mean=scaler.mean_.tolist(),
        scale=scaler.scale_.tolist(),
        coefficients=classifier.coef_.tolist(),
        intercepts=classifier.intercept_.tolist(),
    )


@task
def evaluate(candidates: list[Candidate], data: Split) -> Report:
    """Take the best candidate and try it on the wines held back."""
    import numpy as np

    best = max(candidates, key=lambda candidate: candidate.validation_accuracy)
    standardized = (np.array(data.test.rows) - best.mean) / best.scale
    coefficients = np.array(best.coefficients)
    predicted = (standardized @ coefficients.T + best.intercepts).argmax(axis=1)
    return Report(
        regularization=best.regularization,
        test_accuracy=float((predicted == np.array(data.test.cultivars)).mean()),
        wines_tested=len(predicted),
        most_telling_measurement=data.test.columns[int(np.abs(coefficients).sum(axis=0).argmax())],
    )


@workflow
def train_wine(
    regularizations: list[float] = [0.01, 0.1, 1.0, 10.0],  # noqa: B006 - a default input: it is never mutated
    test_share: float = 0.25,
    seed: int = 7,
) -> Report:
    """Find the best classifier over the parameters and report how good it is."""
    data = split(table=load(), test_share=test_share, seed=seed)
    candidates = map_task(partial(train, data=data), concurrency=2)(regularization=regularizations)
    return evaluate(candidates=candidates, data=data)
