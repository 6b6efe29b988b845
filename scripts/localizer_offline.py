"""Make the file for the localizer's method before its training: superpixels, cut-outs, segments or a classifier."""

from apsam.commands.localizer_offline import localizer_offline
from apsam.commands.run import run

if __name__ == "__main__":
    run(localizer_offline)
