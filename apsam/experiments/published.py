"""Table 1 of the paper as published, in percent. Other data, backbones and SAM; for reference only."""

from __future__ import annotations

# Data set -> method -> OA, precision, recall, F1, IoU.
PUBLISHED: dict[str, dict[str, tuple[float, float, float, float, float]]] = {
    "Hong Kong": {
        "cda": (97.89, 80.51, 64.78, 71.79, 56.00),
        "cpn": (97.92, 76.82, 71.55, 74.09, 58.85),
        "oc_cse": (97.77, 69.89, 81.21, 75.13, 60.16),
        "flipcam": (96.46, 55.36, 75.65, 63.93, 46.99),
        "s2c": (95.85, 50.00, 68.74, 57.89, 40.73),
        "lgagnet": (98.02, 71.37, 87.52, 78.62, 64.78),
        "apsam": (98.24, 77.90, 80.42, 79.14, 65.48),
    },
    "Turkey": {
        "cda": (97.72, 76.04, 48.35, 59.12, 41.96),
        "cpn": (97.87, 73.54, 58.57, 65.21, 48.38),
        "oc_cse": (97.75, 73.04, 53.89, 62.02, 44.95),
        "flipcam": (97.87, 76.28, 54.53, 63.59, 46.62),
        "s2c": (98.09, 75.08, 65.91, 70.20, 54.08),
        "lgagnet": (98.18, 78.25, 64.48, 70.70, 54.68),
        "apsam": (98.20, 73.31, 74.12, 73.71, 58.37),
    },
}
SHARES = ("oa", "precision", "recall", "f1", "iou")
