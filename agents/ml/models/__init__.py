"""Model files that others wrote: checked, loaded, and told what they cost.

source_check      what can be seen before a file runs, with undefined_names
script            model classes out of a file
summary           sizes and costs: recorder sees what each module does, with what torch takes for
                  free counted by flops; table says it in rows
"""
