"""Claims about spiking networks on tables of metadata."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, at_most, below
from plastorch.experiments.files.tables_metrics import field

CLASSICAL = {
    "logistic": "logistic regression",
    "linear-svm": "linear SVM",
    "rbf-svm": "RBF SVM",
    "rbf-nystroem": "RBF SVM by Nyström features",
}
"""Classical models of the paper, with which the supervised network is compared."""
LEARNERS = CLASSICAL | {
    "boosting": "boosted trees",
    "naive-bayes": "naive Bayes",
    "neighbors": "5 most similar records",
}
"""All models that learn from the records themselves."""
ARRIVE = "keys arrive one by one, at a network that has also learned from partial records"


def claims(found: dict[str, float], tables: Sequence[str], evidence: bool) -> list[Claim]:
    """Returns the claims of the paper's abstract and our own; smoke runs are not ``evidence``."""
    figures = TableFigures(found, tables)
    parts = (_against_classical, _networks, _devices, _clusters, _inputs)
    return asserted([claim for part in parts for claim in part(figures)], evidence)


class TableFigures(NamedTuple):
    """Figures of a run, by table."""

    found: dict[str, float]
    """Figures by name."""
    tables: Sequence[str]

    def of(self, name: str) -> dict[str, float]:
        """Returns a figure of each table that has it."""
        fields = {table: field(table, name) for table in self.tables}
        return {table: self.found[field] for table, field in fields.items() if field in self.found}

    def of_models(self, table: str, models: dict[str, str], figure: str) -> dict[str, float]:
        """Returns a figure of each model, by the words for it, on a table that has it."""
        names = {words: f"{field(table, model)}_{figure}" for model, words in models.items()}
        return {words: self.found[name] for words, name in names.items() if name in self.found}

    def worst(
        self, name: str, figure: str, words: str, *, judge: Callable[..., Claim], target: float
    ) -> list[Claim]:
        """Makes a claim about the table with the worst figure, if any table has the figure."""
        values = self.of(figure)
        if not values:
            return []
        worst = (min if judge is above else max)(values, key=lambda table: values[table])
        return [judge(name, f"{words}, on {worst}", values[worst], target)]

    def least_difference(
        self, name: str, one: str, two: str, words: str, *, target: float
    ) -> list[Claim]:
        """Makes a claim that one figure is nowhere less than another by more than the target."""
        first, second = self.of(one), self.of(two)
        both = {table: first[table] - second[table] for table in first if table in second}
        if not both:
            return []
        worst = min(both, key=lambda table: both[table])
        statement = f"{words}: the least, on {worst}"
        return [above(name, statement, both[worst], target)]


def best_classical(figures: TableFigures, table: str) -> tuple[str, float] | None:
    """Returns the best of logistic regression and support-vector machines, and its accuracy."""
    known = figures.of_models(table, CLASSICAL, "accuracy")
    return max(known.items(), key=lambda item: item[1]) if known else None


def _handicapped(figures: TableFigures, table: str) -> str:
    """Tells which of them learned from fewer records than others, and from how many."""
    counts = figures.of_models(table, CLASSICAL, "learned_from")
    most = max(counts.values(), default=0)
    return ", ".join(
        f"{words} learned from {count:,.0f} of {most:,.0f} records"
        for words, count in counts.items()
        if count < most
    )


def _against_classical(figures: TableFigures) -> list[Claim]:
    """Compares the supervised network with models that learn from the records themselves."""
    made, ahead, unsettled = [], [], []
    for table, accuracy in figures.of("snn_accuracy").items():
        best = best_classical(figures, table)
        if best is None:
            continue
        handicapped = _handicapped(figures, table)
        ahead.append(accuracy > best[1] and not handicapped)
        if accuracy > best[1] and handicapped:
            unsettled.append(f"{table}, where {handicapped}")
        words = (
            f"{table}: accuracy of the supervised network is within a point of the best of "
            f"logistic regression and SVMs, which is {best[0]} with {best[1]:.4f}"
        )
        words += f"; {handicapped}" if handicapped else ""
        made.append(above(f"snn-{table}", words, accuracy, best[1] - 0.01))
        made.append(_against_all(figures, table, accuracy))
    if ahead:
        words = "tables on which the supervised network is more accurate than each of them"
        words += f", without {' and '.join(unsettled)}" if unsettled else ""
        made.append(above("snn-ahead", words, float(sum(ahead)), 0.0))
    return made + figures.least_difference(
        "snn-logistic",
        "snn_accuracy",
        "logistic_accuracy",
        "accuracy of the supervised network less that of logistic regression",
        target=-0.03,
    )


def _against_all(figures: TableFigures, table: str, accuracy: float) -> Claim:
    """Compares the supervised network with the best of all learners of a table."""
    known = figures.of_models(table, LEARNERS, "accuracy")
    best = max(known, key=lambda words: known[words])
    statement = (
        f"{table}: accuracy of the supervised network is within a point of the best of all "
        f"learners, which is {best} with {known[best]:.4f}"
    )
    return above(f"snn-any-{table}", statement, accuracy, known[best] - 0.01)


def _networks(figures: TableFigures) -> list[Claim]:
    made = _distances(figures)
    made += figures.worst(
        "silent",
        "snn_silent",
        "answers without any output spike: most",
        judge=below,
        target=0.01,
    )
    made += figures.worst(
        "stream",
        "stream_largest_fall_of_accuracy",
        f"{ARRIVE}: how far accuracy ever falls when one more is there: most",
        judge=below,
        target=0.005,
    )
    made += figures.worst(
        "early",
        "early_early",
        f"{ARRIVE}: share of records that are decided for before the last one, once a class is "
        "probable enough: least",
        judge=above,
        target=0.1,
    )
    made += figures.worst(
        "early-half",
        "early_early",
        f"{ARRIVE}: half of the records are decided for before the last one, the target before a "
        "first result: least",
        judge=above,
        target=0.5,
    )
    made += figures.least_difference(
        "early-accuracy",
        "early_accuracy",
        "early_whole_accuracy",
        f"{ARRIVE}: accuracy of these decisions less that with all keys",
        target=-0.02,
    )
    return made + _hashes(figures)


def _distances(figures: TableFigures) -> list[Claim]:
    before, after = figures.of("snn_distance_before"), figures.of("snn_distance")
    if not after:
        return []
    ratios = {table: after[table] / before[table] for table in after}
    table = max(ratios, key=lambda name: ratios[name])
    statement = (
        "distance of answers to the right class's target pattern, after training over before: the "
        f"most, on {table}"
    )
    return [below("distance", statement, ratios[table], 1.0)]


def _hashes(figures: TableFigures) -> list[Claim]:
    means = figures.of("other_hash_kappa")
    if not means:
        return []
    table = max(means, key=lambda name: means[name])
    count = figures.of("other_hash_hashes")[table]
    largest = max(figures.of("other_hash_kappa_largest").values())
    statement = (
        "agreement with the right classes beyond chance (kappa) of the supervised network when "
        f"records come with a hash that it has not learned, mean over {count:.0f} hashes, first "
        f"fold: most, on {table}; with a single hash {largest:.4f} at most"
    )
    return [below("hash", statement, means[table], 0.05)]


def _devices(figures: TableFigures) -> list[Claim]:
    what = "weights in phase-change devices for a day, drift compensated: accuracy lost"
    lost = "memristive_day_accuracy_loss"
    return [
        below(f"memristive-{table}", f"{table}, {what}", loss, 0.01)
        for table, loss in figures.of(lost).items()
    ] + figures.worst("memristive", lost, f"{what}: most", judge=below, target=0.02)


def _clusters(figures: TableFigures) -> list[Claim]:
    """Makes claims about the network that learns without labels, its neurons named by labels."""
    made = _against_clusters(figures)
    made += figures.worst(
        "stdp-chance",
        "stdp_first_kappa",
        "agreement of unsupervised STDP, by the first neuron to fire, with the right classes "
        "beyond chance (kappa): least",
        judge=above,
        target=0.2,
    )
    made += figures.least_difference(
        "stdp-medoids",
        "stdp_first_accuracy",
        "k_medoids_accuracy",
        "accuracy of unsupervised STDP, by the first neuron to fire, less that of k-medoids, which "
        "are sought among 2,000 training records unless set otherwise, from one start",
        target=-0.03,
    )
    return made + figures.least_difference(
        "snn-stdp",
        "snn_accuracy",
        "stdp_accuracy",
        "accuracy of the supervised network less that of unsupervised STDP",
        target=0.0,
    )


def _against_clusters(figures: TableFigures) -> list[Claim]:
    """Compares unsupervised STDP with the better of k-means and k-modes."""
    made, first = [], []
    for table, accuracy in figures.of("stdp_accuracy").items():
        others = figures.of_models(
            table, {name: name for name in ("k-means", "k-modes")}, "accuracy"
        )
        if not others:
            continue
        best = max(others, key=lambda name: others[name])
        first.append((figures.of("stdp_first_accuracy")[table] - others[best], table))
        statement = (
            f"{table}: accuracy of unsupervised STDP, by the order of the first three neurons to "
            "fire, is above that of k-means and k-modes with as many clusters, of which "
            f"{best} is better"
        )
        made.append(above(f"stdp-{table}", statement, accuracy, others[best]))
    if first:
        statement = (
            "accuracy of unsupervised STDP by the first neuron alone, less that of the better of "
            f"k-means and k-modes: the least, on {min(first)[1]}"
        )
        made.append(above("stdp-first", statement, min(first)[0], 0.0))
    return made


def _inputs(figures: TableFigures) -> list[Claim]:
    what = "correlation of the coincidence of patterns with the similarity of records, 10,000 pairs"
    made = [
        above(f"encoding-{table}", f"{table}: {what}", value, 0.99)
        for table, value in figures.of("inputs_correlation").items()
    ]
    made += figures.worst(
        "encoding-ranks",
        "inputs_rank_correlation",
        "rank correlation of the coincidence of patterns with the similarity of records: least",
        judge=above,
        target=0.95,
    )
    return made + figures.least_difference(
        "raster",
        "raster_accuracy",
        "first_logistic_accuracy",
        "accuracy of logistic regression on the spike raster less that on the records, first fold",
        target=-0.01,
    )


def of_confidence(found: dict[str, float], tables: Sequence[str], evidence: bool) -> list[Claim]:
    """Returns claims about the confidence of the estimator, which has its own settings."""
    figures = TableFigures(found, tables)
    what = "expected calibration error of FileClassifier with its defaults, all folds together"
    made = [
        at_most(f"calibration-{table}", f"{table}: {what}", error, 0.02)
        for table, error in figures.of("reliability_calibration_error").items()
    ]
    accuracies = figures.of("estimator_accuracy")
    what = "errors of FileClassifier among the 80 % most confident records, over those among all"
    made += [
        at_most(f"surest-{table}", f"{table}: {what}", error / (1 - accuracies[table]), 0.5)
        for table, error in figures.of("estimator_error_of_surest").items()
        if accuracies[table] < 1
    ]
    return asserted(made, evidence)
