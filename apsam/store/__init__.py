"""The store: every file of the workflow, at a path that contains the key of its recipe.

    results/store/prompts/valley.3f2a9c11b0d4/valley.json      a file
    results/store/prompts/valley.3f2a9c11b0d4/recipe.json      how it was made

A folder has the outputs of one job. Its name ends in the key, a hash of everything that determines the outputs:
settings, code, input data and the keys of the inputs. So a path identifies its content, also in copies and checkouts.
"""
