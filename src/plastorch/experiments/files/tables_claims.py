"""Claims about spiking networks on tables of metadata, as rows of a run's result."""

from collections.abc import Sequence

from plastorch.engine.run import Claim
from plastorch.experiments.claims import Row, Side, judged
from plastorch.experiments.files.tables_metrics import field

CLASSICAL = {
    "logistic": "logistic regression",
    "linear-svm": "linear SVM",
    "rbf-svm": "RBF SVM",
    "rbf-nystroem": "RBF SVM by Nyström features",
}
"""Classical models with which the supervised network is compared."""


def claims(found: dict[str, float], tables: Sequence[str], asserted: bool) -> list[Claim]:
    """Returns the claims of the paper's abstract and our own, as rows.

    Args:
        found: figures from :func:`metrics`.
        tables: tables of the run.
        asserted: False if the run is no evidence: a smoke run or other settings.
    """
    rows = _against_classical(found, tables) + _networks(found, tables)
    rows += _devices(found, tables) + _clusters(found, tables) + _inputs(found, tables)
    return judged(rows, asserted)


def best_classical(found: dict[str, float], table: str) -> tuple[str, float] | None:
    """Returns the best of logistic regression and support-vector machines, and its accuracy.

    Example:
        >>> best_classical({"adult_logistic_accuracy": 0.8, "adult_rbf_svm_accuracy": 0.9}, "adult")
        ('RBF SVM', 0.9)
    """
    names = {model: f"{field(table, model)}_accuracy" for model in CLASSICAL}
    known = {CLASSICAL[model]: found[name] for model, name in names.items() if name in found}
    return max(known.items(), key=lambda item: item[1]) if known else None


def _handicapped(found: dict[str, float], table: str) -> str:
    """Tells which of them learned from fewer records than others, and from how many."""
    names = {model: f"{field(table, model)}_learned_from" for model in CLASSICAL}
    counts = {CLASSICAL[model]: found[name] for model, name in names.items() if name in found}
    most = max(counts.values(), default=0)
    return ", ".join(
        f"{words} learned from {count:,.0f} of {most:,.0f} records"
        for words, count in counts.items()
        if count < most
    )


def _of(found: dict[str, float], tables: Sequence[str], name: str) -> dict[str, float]:
    """Returns a figure of each table that has it."""
    fields = {table: f"{field(table, name)}" for table in tables}
    return {table: found[field] for table, field in fields.items() if field in found}


def _difference(
    found: dict[str, float], tables: Sequence[str], one: str, two: str
) -> tuple[str, float] | None:
    """Returns the smallest difference of two figures, and its table."""
    first, second = _of(found, tables, one), _of(found, tables, two)
    both = {table: first[table] - second[table] for table in first if table in second}
    return min(both.items(), key=lambda item: item[1]) if both else None


def _against_classical(found: dict[str, float], tables: Sequence[str]) -> list[Row]:
    """Compares the supervised network with models that learn from the records themselves."""
    rows, ahead, unsettled = [], [], []
    for table, accuracy in _of(found, tables, "snn_accuracy").items():
        best = best_classical(found, table)
        if best is None:
            continue
        handicapped = _handicapped(found, table)
        ahead.append(accuracy > best[1] and not handicapped)
        if accuracy > best[1] and handicapped:
            unsettled.append(f"{table}, where {handicapped}")
        rows.append(
            Row(
                f"snn-{table}",
                f"{table}: accuracy of the supervised network is within a point of the best of "
                f"logistic regression and SVMs, which is {best[0]} with {best[1]:.4f}"
                + (f"; {handicapped}" if handicapped else ""),
                accuracy,
                "above",
                best[1] - 0.01,
                "paper",
            )
        )
    if ahead:
        rows.append(
            Row(
                "snn-ahead",
                "tables on which the supervised network is more accurate than each of them"
                + (f", without {' and '.join(unsettled)}" if unsettled else ""),
                float(sum(ahead)),
                "above",
                0.0,
                "paper",
            )
        )
    worst = _difference(found, tables, "snn_accuracy", "logistic_accuracy")
    if worst:
        rows.append(
            Row(
                "snn-logistic",
                "accuracy of the supervised network less that of logistic regression: the least, "
                f"on {worst[0]}",
                worst[1],
                "above",
                -0.03,
                "paper",
            )
        )
    return rows


def _networks(found: dict[str, float], tables: Sequence[str]) -> list[Row]:
    """Makes claims about the supervised network itself, and about keys that arrive one by one."""
    rows = []
    before, after = (_of(found, tables, f"snn_{n}") for n in ("distance_before", "distance"))
    if after:
        ratios = {table: after[table] / before[table] for table in after}
        table = max(ratios, key=lambda name: ratios[name])
        rows.append(
            Row(
                "distance",
                "distance of answers to the right class's target pattern, after training over "
                f"before: the most, on {table}",
                ratios[table],
                "below",
                1.0,
            )
        )
    silent = "answers without any output spike: most"
    rows += _worst(found, tables, "silent", "snn_silent", silent, "below", 0.01)
    arrive = "keys arrive one by one, at a network that has also learned from partial records"
    rows += _worst(
        found,
        tables,
        "stream",
        "stream_largest_fall_of_accuracy",
        f"{arrive}: how far accuracy ever falls when one more is there: most",
        "below",
        0.005,
    )
    rows += _worst(
        found,
        tables,
        "early",
        "early_early",
        f"{arrive}: share of records that are decided for before the last one, once a class is "
        "probable enough: least",
        "above",
        0.1,
    )
    worst = _difference(found, tables, "early_accuracy", "early_whole_accuracy")
    if worst:
        rows.append(
            Row(
                "early-accuracy",
                f"{arrive}: accuracy of these decisions less that with all keys: the least, on "
                f"{worst[0]}",
                worst[1],
                "above",
                -0.02,
            )
        )
    return rows + _hashes(found, tables)


def _hashes(found: dict[str, float], tables: Sequence[str]) -> list[Row]:
    """Makes claims about the network with hashes that it has not learned."""
    means = _of(found, tables, "other_hash_kappa")
    if not means:
        return []
    table = max(means, key=lambda name: means[name])
    count = found[f"{field(table, 'other-hash')}_hashes"]
    largest = max(_of(found, tables, "other_hash_kappa_largest").values())
    statement = (
        "agreement with the right classes beyond chance (kappa) of the supervised network when "
        f"records come with a hash that it has not learned, mean over {count:.0f} hashes, first "
        f"fold: most, on {table}; with a single hash {largest:.4f} at most"
    )
    return [Row("hash", statement, means[table], "below", 0.05)]


def _worst(
    found: dict[str, float],
    tables: Sequence[str],
    name: str,
    figure: str,
    words: str,
    side: Side,
    target: float,
) -> list[Row]:
    """Returns a row for the table with the worst figure, if any table has the figure."""
    values = _of(found, tables, figure)
    if not values:
        return []
    worst = (min if side == "above" else max)(values, key=lambda table: values[table])
    return [Row(name, f"{words}, on {worst}", values[worst], side, target)]


def _devices(found: dict[str, float], tables: Sequence[str]) -> list[Row]:
    """Makes claims about weights in phase-change devices."""
    what = "weights in phase-change devices for a day, drift compensated: accuracy lost"
    rows = []
    for table, loss in _of(found, tables, "memristive_day_accuracy_loss").items():
        rows.append(Row(f"memristive-{table}", f"{table}, {what}", loss, "below", 0.01, "paper"))
    rows += _worst(
        found,
        tables,
        "memristive",
        "memristive_day_accuracy_loss",
        f"{what}: most",
        "below",
        0.02,
    )
    return rows


def _clusters(found: dict[str, float], tables: Sequence[str]) -> list[Row]:
    """Makes claims about the network that learns without labels, its neurons named by labels."""
    rows = []
    first = []
    for table, accuracy in _of(found, tables, "stdp_accuracy").items():
        names = {words: f"{field(table, words)}_accuracy" for words in ("k-means", "k-modes")}
        others = {words: found[name] for words, name in names.items() if name in found}
        if others:
            best = max(others, key=lambda name: others[name])
            first.append((found[field(table, "stdp-first") + "_accuracy"] - others[best], table))
            rows.append(
                Row(
                    f"stdp-{table}",
                    f"{table}: accuracy of unsupervised STDP, by the order of the first three "
                    "neurons to fire, is above that of k-means and k-modes with as many clusters, "
                    f"of which {best} is better",
                    accuracy,
                    "above",
                    others[best],
                )
            )
    if first:
        rows.append(
            Row(
                "stdp-first",
                "the same by the first neuron alone, less that of the better of k-means and "
                f"k-modes: accuracy, the least, on {min(first)[1]}",
                min(first)[0],
                "above",
                0.0,
            )
        )
    rows += _worst(
        found,
        tables,
        "stdp-chance",
        "stdp_first_kappa",
        "agreement of unsupervised STDP, by the first neuron to fire, with the right classes "
        "beyond chance (kappa): least",
        "above",
        0.2,
    )
    for name, one, two, target, words in (
        (
            "stdp-medoids",
            "stdp_first",
            "k_medoids",
            -0.03,
            "unsupervised STDP, by the first neuron to fire, less that of k-medoids, which are "
            "sought among 2,000 training records unless set otherwise, from one start",
        ),
        ("snn-stdp", "snn", "stdp", 0.0, "the supervised network less that of unsupervised STDP"),
    ):
        worst = _difference(found, tables, f"{one}_accuracy", f"{two}_accuracy")
        if worst:
            statement = f"accuracy of {words}: the least, on {worst[0]}"
            rows.append(Row(name, statement, worst[1], "above", target))
    return rows


def _inputs(found: dict[str, float], tables: Sequence[str]) -> list[Row]:
    """Makes claims about what the patterns preserve."""
    rows = [
        Row(
            f"encoding-{table}",
            f"{table}: correlation of the coincidence of patterns with the similarity of records, "
            "10,000 pairs",
            value,
            "above",
            0.99,
            "paper",
        )
        for table, value in _of(found, tables, "inputs_correlation").items()
    ]
    rows += _worst(
        found,
        tables,
        "encoding-ranks",
        "inputs_rank_correlation",
        "the same as a rank correlation: least",
        "above",
        0.95,
    )
    worst = _difference(found, tables, "raster_accuracy", "first_logistic_accuracy")
    if worst:
        rows.append(
            Row(
                "raster",
                "accuracy of logistic regression on the spike raster less that on the records, "
                f"first fold: the least, on {worst[0]}",
                worst[1],
                "above",
                -0.01,
            )
        )
    return rows
