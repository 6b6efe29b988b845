"""The paper's Table 1: masks for comparison, oracle threshold, tables and figures of localization methods."""

from apsam.commands.run import run
from apsam.commands.table1 import cam_oracle, compare_methods, masks_agreed, masks_box, masks_truth, table1

if __name__ == "__main__":
    run(masks_agreed, masks_box, masks_truth, cam_oracle, compare_methods, table1)
