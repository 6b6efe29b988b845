"""One command a stage: what `apsam STAGE` and `python scripts/STAGE.py` run.

A command reads its arguments and calls the library; what it needs of the library is imported inside it, so that
`apsam --help` is quick and a job loads only its own stage.
"""
