"""The paper's experiments: `trials` decodes all prompts of one scene, the others each make a table and its figure."""

from apsam.commands.experiments import (
    everything_vs_apsam,
    prompt_ablation,
    released_effects,
    sam_size,
    seeds,
    threshold_sweep,
    threshold_sweep_resunet,
    trials,
)
from apsam.commands.run import run

if __name__ == "__main__":
    run(
        trials,
        threshold_sweep,
        threshold_sweep_resunet,
        prompt_ablation,
        everything_vs_apsam,
        sam_size,
        seeds,
        released_effects,
    )
