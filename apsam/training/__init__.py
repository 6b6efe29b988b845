"""Training of networks, independent of the task: devices and processes, order, seeds, checkpoints.

`task.Task` defines a training, `trainer.run` runs it. The localizer and the ResUNet are such tasks.
"""
