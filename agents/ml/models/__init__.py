"""Model files that others wrote: checked, loaded, and told what they cost.

source_check      what can be seen before a file runs, with undefined_names
script            model classes out of a file
summary           sizes and costs, layer by layer; flops counts what torch takes for free
"""
