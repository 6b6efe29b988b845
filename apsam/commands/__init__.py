"""One command per stage: run as `apsam STAGE` and as `python scripts/STAGE.py`.

A command reads its arguments and calls the library. Library modules are imported inside the command, so that
`apsam --help` is fast and a job loads only its own stage.
"""
