"""New research projects: a folder that trains, evaluates and tests from its first minute."""
