# The default run: snakemake --cores all        What would run: snakemake --dry-run        Targets: rules/targets.smk
# Other settings: --configfile config/NAME.yaml, or edit config.yaml. Keys are checked before anything runs.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/provenance.smk"


# In the order of the data.
include: "rules/synthesize.smk"
include: "rules/tile.smk"
include: "rules/localizer.smk"
include: "rules/cams.smk"
include: "rules/encode.smk"
include: "rules/prompts.smk"
include: "rules/masks.smk"
include: "rules/resunet.smk"
include: "rules/predict.smk"
include: "rules/metrics.smk"
include: "rules/report.smk"
include: "rules/targets.smk"
