"""Documents that are generated from the code: the diagrams of docs/architecture.md.

python -m ops.docs            write them
python -m ops.docs --check    exit 1 when they differ
"""
