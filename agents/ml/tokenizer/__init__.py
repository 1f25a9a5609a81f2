"""Tokenizers by name: advised, trained, loaded, applied, and known again after a restart.

manager    the tool of the document
advice     which one suits a corpus, by arithmetic
config     what one should be trained to, checked
corpus     text files, checked and read in large pieces
training   the same text gives the same tokenizer, every time
files      folders that transformers reads, too
registry   tokenizers by name, on disk
"""
