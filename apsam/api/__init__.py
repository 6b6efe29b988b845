"""The public interface of `apsam`, one subject a file; `import apsam` gives all of it (`apsam.__all__`)."""
