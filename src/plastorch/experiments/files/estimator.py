"""FileClassifier: its accuracy, and what its confidence is worth."""

import numpy as np

from plastorch.engine.device import seed32
from plastorch.engine.run import Record
from plastorch.experiments.files.baselines import row, scores
from plastorch.experiments.files.fold import Fold
from plastorch.files.calibration import expected_calibration_error, reliability_curve
from plastorch.files.classifier import FileClassifier

COVERAGE = 0.8
"""Share of the test records, the most confident ones, whose errors are counted by themselves."""


def estimator(fold: Fold, dropout: float, members: int | None) -> list[Record]:
    """Fits the estimator; returns a record of the model ``estimator``, and one of ``reliability``
    for each bin of the confidence that has answers."""
    model = FileClassifier(members=members, dropout=dropout, random_state=seed32(fold.seed))
    model.fit(fold.train, fold.train_labels)
    chances = model.predict_proba(fold.test)
    answers = model.classes_[chances.argmax(1)]
    confidence, right = chances.max(1), answers == fold.test_labels
    surest = np.argsort(-confidence, kind="stable")[: round(COVERAGE * len(right))]
    curve = reliability_curve(confidence, right)
    whole: Record = {
        **row("estimator", fold),
        **scores(answers, fold.test_labels),
        "calibration_error": expected_calibration_error(confidence, right),
        "temperature": model.calibration_.temperature,
        "error_of_surest": float(1 - right[surest].mean()),
    }
    return [
        whole,
        *(
            {
                **row("reliability", fold),
                "confidence": float(sure),
                "accuracy": float(share),
                "answers": int(count),
            }
            for sure, share, count in zip(*curve, strict=True)
        ),
    ]
