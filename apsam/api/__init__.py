"""Public interface of `apsam`, one subject per file; `import apsam` exports all of it (`apsam.__all__`)."""
