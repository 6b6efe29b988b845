"""How networks are trained, whatever they learn: devices and processes, order, seeds, checkpoints.

`task.Task` is what a training defines, `trainer.run` runs it. The localizer and the ResUNet are such tasks.
"""
