"""The kinds of pseudo-masks, by the names that their folders, ResUNets and maps have."""

# Always made, and those that a ResUNet is trained on.
SOURCES = ("apsam", "cam", "grabcut")
TRAINED = ("apsam", "cam")
# Scene-wide pseudo-masks (`ground.masks: scene`).
GROUND = "ground"
# Those of the second round (`self_training.rounds: 2`).
SELF_TRAINING = "self_training"
# To compare with (Table 1).
REFERENCES = ("cam_agreed", "box", "truth")
# Those whose ResUNet maps the run's scenes, and all that a ResUNet learns.
MAPPED = (*TRAINED, GROUND, SELF_TRAINING)
NETWORKS = (*MAPPED, *REFERENCES)
