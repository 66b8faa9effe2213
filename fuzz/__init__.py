"""Coverage-guided fuzzing of the compiled code: one engine, and targets that say what must hold.

__main__ shares out the time and judges, child runs one target in a process of its own, engine chooses and keeps
inputs, mutation changes them, edges tells what they reached; targets/ holds what is tried, and against whom.
"""
