"""Note which data a run is made from: one JSON file."""

from apsam.commands.inventory import inventory
from apsam.commands.run import run

if __name__ == "__main__":
    run(inventory)
