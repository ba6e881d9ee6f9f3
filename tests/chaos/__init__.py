"""The fault campaign: whatever dies, whenever, subscribers end up with the alerts of an undisturbed run.

python -m tests.chaos.campaign --faults 1000 --seed 1
"""
