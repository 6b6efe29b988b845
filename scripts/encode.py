"""Encode the positive tiles of a scene with SAM's image encoder.

Makes one embedding stack. It depends on the tiles and the SAM alone, so thresholds, prompts and mask choices reuse it.
"""

from apsam.commands.encode import encode
from apsam.commands.run import run

if __name__ == "__main__":
    run(encode)
