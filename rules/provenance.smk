# What made each file is kept beside the data (workflow_support/records.py), so that a checkout or a copy of results/
# brings it along; what earlier settings made is kept on the run's shelf and comes back with them (workflow_support/plan.py).
from workflow_support.locks import release_stale_lock
from workflow_support.plan import Plan
from workflow_support.records import restore_records, store_records

plan = Plan(run.folder, run.config.shelf_gb * 1e9)
if workflow.exec_mode == ExecMode.DEFAULT:
    release_stale_lock()
    restore_records(run.folder)
    plan.attach(workflow)


onsuccess:
    store_records(run.folder, plan.parameters())
    plan.tidy()
    print(run.where_to_look(), file=sys.stderr)


onerror:
    store_records(run.folder, plan.parameters())
    plan.tidy()
