"""The salon that a sandbox starts with.

Invented people in the shape of a real salon (facts/phorest-api §12 and §13).
"""
