"""Files that some methods need before their training, made by a separate stage with one output file.

Like the training it reads only the images and image-level labels of part-0 tiles.
"""
