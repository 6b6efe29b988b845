"""The store: every file that the workflow makes, at a path that holds the key of the recipe it was made by.

    results/store/prompts/valley.3f2a9c11b0d4/valley.json      a file
    results/store/prompts/valley.3f2a9c11b0d4/recipe.json      what made it

A folder holds the outputs of one job. Its name ends in the key, a digest of all that decides the outputs: settings,
code, given data and the keys of the inputs. So a path says what its file is, whoever made, copied or checked it out.
"""
