"""What some methods need made once before their training: a stage of its own, with one file as its output.

Like the training it sees the images and image-level labels of part-0 tiles, and nothing else.
"""
