# Snakemake's memory of what made each file lies in .snakemake, where neither git nor DVC carries it. Here it is kept
# beside the data, so that a checkout or a copy of results/ brings it along (workflow_support/records.py).
from workflow_support.locks import release_stale_lock
from workflow_support.records import restore_records, store_records

if workflow.exec_mode == ExecMode.DEFAULT:
    release_stale_lock()
    restore_records(run.folder)


onsuccess:
    store_records(run.folder)


onerror:
    store_records(run.folder)
