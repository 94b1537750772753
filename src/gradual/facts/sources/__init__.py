"""Where facts come from: files, folders, the Hugging Face Hub and the embedded atlas, each opened into parts of rows.

One module a kind of source. Knows nothing of what the columns mean (`gradual.facts.reading`).
"""
