# Snakemake's memory of what made each file lies in .snakemake, where neither git nor DVC carries it. Here it is kept
# beside the data, so that a checkout or a copy of results/ brings it along (workflow_support/records.py).
from workflow_support.records import restore_records, store_records

RESULTS_FOLDER = f"results/{run.config.run}"

if workflow.exec_mode == ExecMode.DEFAULT:
    restore_records(RESULTS_FOLDER)


onsuccess:
    store_records(RESULTS_FOLDER)


onerror:
    store_records(RESULTS_FOLDER)
