"""Say which tiles to label next, and which labels look wrong, from what a run says of its tiles.

`localizer-scores` and `map-scores` ask the networks about every tile, `suggestions` puts what they say in order.
"""

from apsam.commands.run import run
from apsam.commands.suggest import localizer_scores, map_scores, suggestions

if __name__ == "__main__":
    run(localizer_scores, map_scores, suggestions)
