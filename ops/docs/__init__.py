"""Documents that are generated from the code: the diagrams of docs/architecture.md, the table of rights in
docs/security.md.

python -m ops.docs            write them
python -m ops.docs --check    exit 1 when they differ
"""
