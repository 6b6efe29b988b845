"""Suggest which tiles to label next, and which labels look wrong, from a run's predictions of its tiles.

`localizer-scores` and `map-scores` compute the scores of all tiles, `suggestions` ranks the tiles.
"""

from apsam.commands.run import run
from apsam.commands.suggest import localizer_scores, map_scores, suggestions

if __name__ == "__main__":
    run(localizer_scores, map_scores, suggestions)
