"""What differs between languages: marks on letters, spellings of one answer, and how questions are built.

Knows texts, no facts.
"""
