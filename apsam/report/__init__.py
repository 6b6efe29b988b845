"""The report of a run: one HTML file to look at, and its figures for a paper (`apsam.report.page` makes them)."""
